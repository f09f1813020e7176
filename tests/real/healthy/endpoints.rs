//! `http`, `tcp` and `tls`.

use std::sync::atomic::AtomicBool;

use super::{World, rounds};
use crate::endpoints::{shop, web};
use crate::faults::tls::{Authority, Certificate};

pub fn go(over: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("lab authority");
    let roots = authority.write(dir.path()).display().to_string();
    let (plain, secure) =
        runtime.block_on(async { (web(None, shop).await, web(Some(authority.server(Certificate::Good)), shop).await) });
    let (http, https) = (plain.addr.port(), secure.addr.port());
    let probe = |name: &str, more: &str| {
        format!(
            "[[plan.probe]]\nname = \"{name}\"\narea = \"standby\"\ninterval = \"1s\"\ntimeout = \"5s\"\nkind = {more}\n"
        )
    };
    let text = format!(
        "here = \"elsewhere\"\n[[plan]]\nname = \"web\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto = \
         \"5m\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"standby\"]\n{}{}{}{}",
        probe(
            "health",
            &format!(
                "\"http\"\nat = {{ east = \"http://127.0.0.1:{http}/health\", west = \"http://127.0.0.1:{http}/late\" }}"
            )
        ),
        probe(
            "secure",
            &format!("\"http\"\nat = {{ west = \"https://localhost:{https}/health\" }}\nroots = \"{roots}\"")
        ),
        probe("port", &format!("\"tcp\"\nat = {{ west = \"127.0.0.1:{http}\" }}")),
        probe("certificate", &format!("\"tls\"\nat = {{ west = \"localhost:{https}\" }}\nroots = \"{roots}\"")),
    );
    let mut world = World::start("web", &text);
    rounds(over, &mut world, |world, _| world.quiet("looked at", 10, || {}));
}
