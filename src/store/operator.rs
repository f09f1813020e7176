//! Who uses this process, for the record. What they say of themselves is not proof; the login's user id is the kernel's.

use crate::plan::SafeText;
use crate::runbook::Operator;

/// Who uses this process: the effective user, whose login it was before `sudo` or `su`, the host, and where the SSH
/// session came from.
#[must_use]
pub fn operator() -> Operator {
    let env = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let id = rustix::process::geteuid().as_raw();
    let login = std::fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|text| text.trim().parse::<u32>().ok()).filter(|id| *id != u32::MAX);
    let user =
        name_of(id, &passwd).or_else(|| env("USER").or_else(|| env("LOGNAME"))).unwrap_or_else(|| format!("user {id}"));
    let before =
        login.map(|id| name_of(id, &passwd).unwrap_or_else(|| format!("user {id}"))).or_else(|| env("SUDO_USER"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let from = env("SSH_CONNECTION").and_then(|c| c.split_whitespace().next().map(SafeText::new));
    Operator {
        user: SafeText::new(&match before {
            Some(before) if before != user => format!("{user} ({before})"),
            Some(_) | None => user,
        }),
        host: SafeText::new(host.trim()),
        from,
        pid: std::process::id(),
    }
}

/// The name of a user id in a text like `/etc/passwd`.
fn name_of(id: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_its_number() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nalice:x:1001:1001::/home/alice:/bin/sh\nbroken\n";
        assert_eq!(name_of(1001, passwd).as_deref(), Some("alice"));
        assert_eq!(name_of(7, passwd), None);
        assert_eq!(operator().pid, std::process::id());
    }
}
