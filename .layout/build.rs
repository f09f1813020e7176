//! Where the linker puts the program's functions: those that an ordinary day enters side by side, in the order of the
//! list beside this file. A kernel maps a program's pages sixteen at a time around the one that is needed, so functions
//! that are needed, strewn among those that are not, bring nearly all of the program into memory.
//!
//! The list is made by `tests/order.py`. It names symbols of one compiler: for another one, as for a linker that knows
//! no such list, the program is the same and takes some megabytes more.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "cargo::rerun-if-changed=.layout")?;
    let (Some(root), Some(linker)) = (std::env::var_os("CARGO_MANIFEST_DIR"), linker()) else { return Ok(()) };
    let order = Path::new(&root).join(".layout/order");
    for argument in [
        "-fuse-ld=lld".to_owned(),
        format!("-B{}", linker.display()),
        "-Xlinker".to_owned(),
        format!("--symbol-ordering-file={}", order.display()),
        // Other compilers, and changed code, have other symbols.
        "-Xlinker".to_owned(),
        "--no-warn-symbol-ordering".to_owned(),
    ] {
        writeln!(out, "cargo::rustc-link-arg-bins={argument}")?;
    }
    Ok(())
}

/// The directory of the linker that came with the compiler, where it is for this target and nobody chose another one.
fn linker() -> Option<PathBuf> {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|v| v == value);
    let x86_64_linux = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_OS", "linux");
    let ours = is("PROFILE", "release") && x86_64_linux && is("CARGO_CFG_TARGET_ENV", "gnu");
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let chosen = std::env::var_os("RUSTC_LINKER").is_some() || flags.contains("link");
    let target = std::env::var("TARGET").ok()?;
    if !ours || chosen || !is("HOST", &target) {
        return None;
    }
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let said = Command::new(rustc).args(["--print", "sysroot"]).output().ok().filter(|o| o.status.success())?;
    let sysroot = String::from_utf8(said.stdout).ok()?;
    let dir = Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("bin/gcc-ld");
    dir.join("ld.lld").exists().then_some(dir)
}
