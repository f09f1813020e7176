//! Roles, what they may, and who is let in (PostgreSQL's documentation, "Database Roles", "Client Authentication").

use secrecy::SecretString;

/// The role that looks.
pub const LOOK: &str = "lifeboat";
/// The role that acts.
pub const ACT: &str = "lifeboat_act";
/// The applications' role.
pub const APP: &str = "shop";
/// The superuser.
pub const SUPERUSER: &str = "postgres";
/// The role that standbys stream with.
pub const REPLICATOR: &str = "replicator";

/// Predefined roles, with their numbers in the catalogue.
pub const PREDEFINED: &[(&str, i64)] = &[
    ("pg_monitor", 3373),
    ("pg_read_all_settings", 3374),
    ("pg_read_all_stats", 3375),
    ("pg_stat_scan_tables", 3377),
    ("pg_read_server_files", 4569),
    ("pg_write_server_files", 4570),
    ("pg_execute_server_program", 4571),
    ("pg_signal_backend", 4200),
    ("pg_checkpoint", 4544),
    ("pg_read_all_data", 6181),
    ("pg_write_all_data", 6182),
    ("pg_use_reserved_connections", 4550),
];

/// Functions that not everybody may execute, and the predefined role that may, where one may.
pub const GUARDED: &[(&str, Option<&str>)] = &[
    ("pg_promote", None),
    ("pg_reload_conf", None),
    ("pg_read_file", None),
    ("pg_wal_replay_pause", None),
    ("pg_wal_replay_resume", None),
    ("pg_switch_wal", None),
    ("pg_show_replication_origin_status", None),
    ("pg_ls_archive_statusdir", Some("pg_monitor")),
    ("pg_ls_waldir", Some("pg_monitor")),
];

/// A role of a cluster.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// Its number in the catalogue.
    pub oid: i64,
    /// Whether it is a superuser.
    pub superuser: bool,
    /// Whether it may log in.
    pub login: bool,
    /// Whether it may make and alter roles.
    pub createrole: bool,
    /// Whether it may stream.
    pub replication: bool,
    /// Its password.
    pub password: Option<SecretString>,
    /// The roles that it is a member of.
    pub member_of: Vec<&'static str>,
    /// The guarded functions that it was given.
    pub executes: Vec<&'static str>,
}

impl Role {
    fn new(name: &str, oid: i64, password: Option<SecretString>) -> Self {
        Self {
            name: name.to_owned(),
            oid,
            superuser: false,
            login: true,
            createrole: false,
            replication: false,
            password,
            member_of: Vec::new(),
            executes: Vec::new(),
        }
    }

    /// Whether it has what a role gives: itself, or through what it is a member of.
    #[must_use]
    pub fn has(&self, role: &str) -> bool {
        let within = |of: &str| {
            let parts: &[&str] = match of {
                "pg_monitor" => &["pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"],
                _ => &[],
            };
            of == role || parts.contains(&role)
        };
        self.superuser || self.name == role || self.member_of.iter().any(|of| within(of))
    }

    /// Whether it may execute a function.
    #[must_use]
    pub fn may_execute(&self, function: &str) -> bool {
        match GUARDED.iter().find(|(name, _)| *name == function) {
            None => true,
            Some((_, by)) => self.superuser || self.executes.contains(&function) || by.is_some_and(|by| self.has(by)),
        }
    }
}

/// The roles of a practice cluster. Each has a password of its own, which follows from `secret`.
#[must_use]
pub fn usual(password: &dyn Fn(&str) -> SecretString) -> Vec<Role> {
    let role = |name: &str, oid: i64| Role::new(name, oid, Some(password(name)));
    vec![
        Role { superuser: true, createrole: true, replication: true, ..role(SUPERUSER, 10) },
        Role { member_of: vec!["pg_monitor"], ..role(LOOK, 16_385) },
        Role {
            createrole: true,
            member_of: vec!["pg_monitor", "pg_signal_backend", "pg_read_server_files", "pg_write_server_files"],
            executes: vec![
                "pg_promote",
                "pg_reload_conf",
                "pg_read_file",
                "pg_wal_replay_pause",
                "pg_wal_replay_resume",
                "pg_switch_wal",
            ],
            ..role(ACT, 16_386)
        },
        role(APP, 16_387),
        Role { replication: true, ..role(REPLICATOR, 16_388) },
    ]
}
