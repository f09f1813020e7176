//! The built program in a terminal: alone, and with real servers behind it, which need root and the packages that
//! `tests/all.sh` installs. A missing server fails a test, never skips it.

#[cfg(test)]
#[path = "../support/dns.rs"]
#[expect(dead_code, reason = "shared with the tests of real servers")]
mod dns;
#[cfg(test)]
#[path = "../support/faults/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of real servers")]
mod faults;
#[cfg(test)]
#[path = "../support/patroni.rs"]
#[expect(dead_code, reason = "shared with the tests of real servers")]
mod patroni_lab;
#[cfg(test)]
#[path = "../support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests of real servers")]
mod pg;
#[cfg(test)]
#[path = "../support/process.rs"]
mod process;
#[cfg(test)]
#[path = "../support/sshd.rs"]
#[expect(dead_code, reason = "shared with the tests of real servers")]
mod sshd;

#[cfg(test)]
mod ages;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod guided;
#[cfg(test)]
mod terminal;
