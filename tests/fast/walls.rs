//! The walls of the house: who may use whom, and what the pure rooms may not know.
//!
//! Modules of one crate can all see each other; this test reads every `use` and every path of `src/` and holds them to
//! one table, which is printed in the crate's documentation too.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Each room of `src/`, from the ground up, and the rooms that it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("plan", &[]),
    ("readiness", &["plan"]),
    ("runbook", &["readiness", "plan"]),
    ("app", &["runbook", "readiness", "plan"]),
    ("clock", &["plan"]),
    ("store", &["app", "runbook", "readiness", "plan", "clock"]),
    ("net", &["readiness", "plan", "clock"]),
    ("systems", &["net", "runbook", "readiness", "plan", "clock"]),
    ("config", &["systems", "runbook", "plan"]),
    ("collect", &["config", "systems", "net", "app", "runbook", "readiness", "plan", "clock"]),
    ("runner", &["collect", "config", "systems", "net", "store", "app", "runbook", "readiness", "plan", "clock"]),
    ("report", &["app", "runbook", "readiness", "plan"]),
    ("tui", &["systems", "app", "runbook", "readiness", "plan", "clock"]),
    ("practice", &["runbook", "plan", "clock"]),
    (
        "cli",
        &[
            "practice",
            "tui",
            "report",
            "runner",
            "collect",
            "config",
            "systems",
            "net",
            "store",
            "app",
            "runbook",
            "readiness",
            "plan",
            "clock",
        ],
    ),
    ("main", &["cli"]),
];

/// Rooms that know no tokio, terminal, network, files or clock.
const PURE: &[&str] = &["plan", "readiness", "app", "runbook"];
/// The pure folder of the practice room.
const PURE_OF_PRACTICE: &str = "world";
/// The pure files and folders of each system.
const PURE_OF_SYSTEMS: &[&str] = &["options", "signals", "parse", "rules", "judge"];
/// What a pure system file may use, beside its own system.
const PURE_SYSTEMS_USE: &[&str] = &["runbook", "readiness", "plan"];

/// What pure code does not name. `hickory_proto` is data formats only, and `std::net`'s addresses are data.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "tokio_postgres",
    "tokio_postgres_rustls",
    "tokio_rustls",
    "futures_util",
    "crossterm",
    "ratatui",
    "hickory_net",
    "hickory_resolver",
    "rustls",
    "rustls_platform_verifier",
    "rusqlite",
    "rustix",
    "hyper",
    "hyper_util",
    "directories",
    "clap",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "chrono::Local",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One path that a file names: its segments, resolved as far as the file itself says, and its line.
#[derive(Debug)]
struct Named {
    path: Vec<String>,
    line: usize,
}

/// Collects the paths of one file. Test modules are left out: they may use anything.
struct Collector {
    module: Vec<String>,
    imported: HashMap<String, Vec<String>>,
    named: Vec<Named>,
    /// Files of test modules, relative to the folder of this module.
    test_files: Vec<String>,
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|a| a.path().is_ident("cfg") && a.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test")))
}

impl Collector {
    fn name(&mut self, path: Vec<String>, line: usize) {
        let path = self.resolve(path);
        self.named.push(Named { path, line });
    }

    /// `crate::a`, `self::a`, `super::a`, and names that a `use` of this file brought in.
    fn resolve(&self, path: Vec<String>) -> Vec<String> {
        let mut base = match path.first().map(String::as_str) {
            Some("crate" | "lifeboat") => vec!["crate".to_owned()],
            Some("self" | "super") => self.module.clone(),
            Some(first) => match self.imported.get(first) {
                Some(full) => full.clone(),
                None => return path,
            },
            None => return path,
        };
        let mut rest = path.as_slice();
        if matches!(rest.first().map(String::as_str), Some("super")) {
            while rest.first().is_some_and(|s| s == "super") {
                base.pop();
                rest = &rest[1..];
            }
        } else {
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        base
    }

    fn tree(&mut self, tree: &syn::UseTree, mut before: Vec<String>) {
        match tree {
            syn::UseTree::Path(p) => {
                before.push(p.ident.to_string());
                self.tree(&p.tree, before);
            }
            syn::UseTree::Group(g) => g.items.iter().for_each(|t| self.tree(t, before.clone())),
            syn::UseTree::Glob(g) => self.name(before, g.star_token.spans[0].start().line),
            syn::UseTree::Name(n) => self.import(before, &n.ident, &n.ident),
            syn::UseTree::Rename(r) => self.import(before, &r.ident, &r.rename),
        }
    }

    fn import(&mut self, mut path: Vec<String>, name: &syn::Ident, known_as: &syn::Ident) {
        let known_as = if name == "self" { path.last().cloned().unwrap() } else { known_as.to_string() };
        if name != "self" {
            path.push(name.to_string());
        }
        self.name(path, name.span().start().line);
        let full = self.named.last().unwrap().path.clone();
        self.imported.insert(known_as, full);
    }

    /// Paths in the arguments of a macro, which syn does not parse.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(i) => {
                    if colons != 2 {
                        self.flush(&mut path, line);
                        line = i.span().start().line;
                    }
                    path.push(i.to_string());
                    colons = 0;
                }
                TokenTree::Punct(p) if p.as_char() == ':' => colons += 1,
                TokenTree::Group(g) => {
                    self.flush(&mut path, line);
                    self.tokens(g.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.flush(&mut path, line);
                    colons = 0;
                }
            }
        }
        self.flush(&mut path, line);
    }

    fn flush(&mut self, path: &mut Vec<String>, line: usize) {
        if path.len() > 1 {
            self.name(std::mem::take(path), line);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, Vec::new());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            let path = item.attrs.iter().find_map(|a| match &a.meta {
                syn::Meta::NameValue(nv) if nv.path.is_ident("path") => match &nv.value {
                    syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(s), .. }) => Some(s.value()),
                    _ => None,
                },
                _ => None,
            });
            self.test_files.push(path.unwrap_or_else(|| format!("{}.rs", item.ident)));
            self.test_files.push(format!("{}/mod.rs", item.ident));
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        let line = path.segments[0].ident.span().start().line;
        if segments.len() > 1 {
            self.name(segments, line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// `src/systems/dns/mod.rs` -> `crate::systems::dns`.
fn module_of(file: &Path) -> Vec<String> {
    let mut module = vec!["crate".to_owned()];
    module.extend(file.with_extension("").iter().map(|s| s.to_string_lossy().into_owned()));
    if module.last().is_some_and(|m| m == "mod" || m == "lib") {
        module.pop();
    }
    module
}

/// The paths of one file below `src/`, and the files of its test modules.
fn collect(file: &Path, text: &str) -> (Vec<Named>, Vec<PathBuf>) {
    let module = module_of(file);
    let parsed = syn::parse_file(text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut c = Collector { module, imported: HashMap::new(), named: Vec::new(), test_files: Vec::new() };
    c.visit_file(&parsed);
    let folder = file.parent().unwrap();
    let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
    let tests = c.test_files.iter().flat_map(|f| [folder.join(f), folder.join(&stem).join(f)]).collect();
    (c.named, tests)
}

/// What one file does that its room may not.
fn violations(file: &Path, named: &[Named]) -> Vec<String> {
    let module = module_of(file);
    let room = module.get(1).map_or("lib", String::as_str);
    let system = (room == "systems").then(|| module.get(2)).flatten();
    let part = module.get(3).map_or("", String::as_str);
    let pure_system = system.is_some() && PURE_OF_SYSTEMS.contains(&part);
    let pure_practice = room == "practice" && module.get(2).is_some_and(|m| m == PURE_OF_PRACTICE);
    let Some((_, may)) = EDGES.iter().find(|(r, _)| *r == room) else {
        return vec![format!("{}: room `{room}` is not in the table of edges", file.display())];
    };
    let may = if pure_system { PURE_SYSTEMS_USE } else { may };
    let mut found = Vec::new();
    for n in named {
        let mut say = |what: &str| found.push(format!("{}:{}: {}: {what}", file.display(), n.line, n.path.join("::")));
        let text = n.path.join("::");
        if n.path[0] == "crate" {
            let Some(to) = n.path.get(1) else { continue };
            let is_room = EDGES.iter().any(|(r, _)| r == to);
            if is_room && to != room && !may.contains(&to.as_str()) {
                say(&format!("`{room}` may not use `{to}`"));
            }
            let other = n.path.get(2).filter(|_| to == "systems");
            if let (Some(system), Some(other)) = (system, other)
                && other != system
                && root().join("src/systems").join(other).is_dir()
            {
                say(&format!("system `{system}` may not use system `{other}`"));
            }
            let own = n.path.get(3).filter(|_| other.is_some() && other == system);
            let is_file = |m: &String| {
                let folder = root().join("src/systems").join(system.unwrap());
                folder.join(format!("{m}.rs")).is_file() && !PURE_OF_SYSTEMS.contains(&m.as_str())
            };
            if pure_system && own.is_some_and(|m| matches!(m.as_str(), "client" | "probe" | "step") && is_file(m)) {
                say("a pure file of a system may not use what does I/O");
            }
        } else if (PURE.contains(&room) || pure_system || pure_practice)
            && let Some(impure) = IMPURE.iter().find(|i| text == **i || text.starts_with(&format!("{i}::")))
        {
            say(&format!("pure code knows no `{impure}`"));
        }
    }
    found
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn every_use_is_in_the_table() {
    let src = root().join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.sort();
    assert!(files.len() > 30, "found {} files", files.len());
    let mut read = Vec::new();
    let mut tests = BTreeSet::new();
    for file in files {
        let relative = file.strip_prefix(&src).unwrap().to_path_buf();
        if relative == Path::new("lib.rs") {
            continue;
        }
        let (named, test_files) = collect(&relative, &std::fs::read_to_string(&file).unwrap());
        tests.extend(test_files);
        read.push((relative, named));
    }
    let in_tests =
        |f: &Path| tests.iter().any(|t| f == t || (t.ends_with("mod.rs") && f.starts_with(t.parent().unwrap())));
    let found: Vec<String> = read.iter().filter(|(f, _)| !in_tests(f)).flat_map(|(f, n)| violations(f, n)).collect();
    assert!(found.is_empty(), "{} breaches:\n{}", found.len(), found.join("\n"));
}

#[test]
fn breaches_are_found_wherever_they_hide() {
    for (file, text) in [
        ("plan/x.rs", "use crate::net::Net;"),
        ("plan/x.rs", "use crate::{readiness, plan};"),
        ("plan/x.rs", "fn f() { let a = crate::clock::now(); }"),
        ("plan/x.rs", "fn f() { println!(\"{}\", crate::clock::now()); }"),
        ("plan/x.rs", "fn f() { vec![vec![super::super::net::X]]; }"),
        ("plan/mod.rs", "use super::net;"),
        ("plan/x.rs", "mod inner { use super::super::super::net; }"),
        ("readiness/x.rs", "use std::{time::{Duration, Instant}};"),
        ("readiness/x.rs", "use std::time; fn f(t: time::Instant) {}"),
        ("readiness/rules/x.rs", "fn f(t: std::time::SystemTime) {}"),
        ("app/x.rs", "use std::fs as files;"),
        ("app/x.rs", "use tokio::sync::mpsc;"),
        ("app/x.rs", "use std::net::TcpStream;"),
        ("app/x.rs", "fn f() { ratatui::init(); }"),
        ("systems/dns/parse.rs", "use crate::net::Net;"),
        ("systems/dns/rules/ttl.rs", "use crate::clock::now;"),
        ("systems/dns/options.rs", "use hickory_resolver::X;"),
        ("systems/dns/mod.rs", "use crate::systems::postgres::SYSTEM;"),
        ("systems/dns/mod.rs", "use super::postgres::SYSTEM;"),
        ("config/mod.rs", "use crate::tui::X;"),
        ("report/mod.rs", "use crate::tui::X;"),
        ("nowhere/mod.rs", ""),
    ] {
        let (named, _) = collect(Path::new(file), text);
        assert_eq!(violations(Path::new(file), &named).len(), 1, "{file}: {text}: {named:?}");
    }
    for (file, text) in [
        ("plan/x.rs", "#[cfg(test)] mod tests { use crate::net::Net; }"),
        ("plan/x.rs", "use super::Span; use std::net::IpAddr; use std::time::Duration;"),
        ("systems/dns/parse.rs", "use super::options::X; use hickory_proto::op::Message; use crate::plan::Span;"),
        ("systems/dns/probe.rs", "use super::super::Lane; use crate::net::Net; use tokio::net::UdpSocket;"),
        ("main.rs", "use lifeboat::cli;"),
    ] {
        let (named, _) = collect(Path::new(file), text);
        assert_eq!(violations(Path::new(file), &named), Vec::<String>::new(), "{file}: {text}");
    }
}

#[test]
fn edges_only_go_down() {
    for (i, (room, may)) in EDGES.iter().enumerate() {
        for other in *may {
            let at = EDGES.iter().position(|(r, _)| r == other);
            assert!(at.is_some_and(|at| at < i), "{room} -> {other}");
        }
    }
}

#[test]
fn the_documentation_prints_the_table() {
    let rows = EDGES.iter().map(|(room, may)| {
        let pure = if PURE.contains(room) { ", pure" } else { "" };
        let may: Vec<String> = may.iter().map(|m| format!("`{m}`")).collect();
        format!("//! | `{room}`{pure} | {} |", if may.is_empty() { "nothing".to_owned() } else { may.join(", ") })
    });
    let table: Vec<String> =
        ["//! | room | may use |".to_owned(), "//! |---|---|".to_owned()].into_iter().chain(rows).collect();
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let printed: Vec<&str> = lib.lines().filter(|l| l.starts_with("//! |")).collect();
    assert_eq!(printed.join("\n"), table.join("\n"), "the table in src/lib.rs");
}

#[test]
fn the_top_level_holds_nothing_else() {
    let allowed = ["Cargo.toml", "Cargo.lock", "src", "themes", "config.example.toml", "tests", "README.md", "target"];
    for entry in std::fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || allowed.contains(&name.as_str()), "{name} does not belong at the top level");
    }
}

#[test]
fn there_are_at_most_four_test_binaries() {
    let binaries: Vec<String> = std::fs::read_dir(root().join("tests"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().join("main.rs").is_file() || e.path().extension().is_some_and(|x| x == "rs"))
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    assert!(binaries.len() <= 4, "{binaries:?}");
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[test]]").count(), binaries.len());
}

/// Kinds that are named for what they look at, and not for the code that they share.
const NAMED_OTHERWISE: &[(&str, &str)] =
    &[("endpoint", "http"), ("endpoint", "tcp"), ("endpoint", "tls"), ("postgres", "sql-check")];

#[test]
fn every_system_is_a_folder_with_tests() {
    let folders: BTreeSet<String> = std::fs::read_dir(root().join("src/systems"))
        .unwrap()
        .map(|e| e.unwrap())
        .filter(|e| e.path().is_dir())
        .map(|e| e.file_name().into_string().unwrap())
        .collect();
    let systems: BTreeSet<String> = lifeboat::systems::SYSTEMS.iter().map(|s| s.name.to_owned()).collect();
    assert_eq!(folders, systems, "folders of src/systems, and SYSTEMS");
    let mut files = Vec::new();
    sources(&root().join("tests"), &mut files);
    for system in systems {
        let named = |f: &PathBuf| f.strip_prefix(root()).unwrap().to_string_lossy().contains(&system);
        assert!(files.iter().any(named), "no file of tests/ is named after {system}");
        for kind in lifeboat::systems::SYSTEMS.iter().filter(|s| s.name == system).flat_map(|s| s.probes) {
            let name = kind.name.replace('-', "_");
            let own = name == system || name.starts_with(&format!("{system}_"));
            let fits = own || NAMED_OTHERWISE.contains(&(system.as_str(), kind.name));
            assert!(fits, "kind {} is neither its folder's name nor folder and verb", kind.name);
        }
    }
}
