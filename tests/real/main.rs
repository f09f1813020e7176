//! Real servers: what the fast tests cannot prove. Needs root, PostgreSQL, BIND, unbound and sshd; a missing server fails.

#[cfg(test)]
mod dns;
