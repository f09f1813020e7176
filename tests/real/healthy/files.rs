//! Dumps that keep appearing, and old ones that go.

use std::fs;
use std::io::Write as _;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::{World, rounds};
use crate::backup_files::Dumps;

/// So many are kept.
const KEEP: u32 = 3;

pub fn go(over: &AtomicBool) {
    let dumps = Dumps::make();
    let lab = tempfile::Builder::new().prefix("lifeboat-backups-").tempdir_in("/tmp").unwrap();
    let (dir, bytes) = (lab.path(), dumps.bytes("custom"));
    let name = |n: u32| dir.join(format!("b_{n:04}.dump"));
    // As pg_dump does: in place, bit by bit.
    let written = |n: u32| {
        let mut file = fs::File::create(name(n)).unwrap();
        for part in bytes.chunks(bytes.len().div_ceil(8)) {
            file.write_all(part).unwrap();
            std::thread::park_timeout(Duration::from_millis(400));
        }
    };
    (0..KEEP).for_each(written);
    let text = format!(
        "here = \"elsewhere\"\n[[plan]]\nname = \"files\"\ntier = 1\nstrategy = \"backup-restore\"\nobjectives = {{ rpo = \"26h\", \
         rto = \"8h\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"backup\"]\n[[plan.probe]]\n\
         name = \"files\"\nkind = \"backup-files\"\nsite = \"west\"\nlocation = \"{}\"\npattern = \"b_*.dump\"\nmax_age = \"26h\"\n\
         interval = \"1s\"\ntimeout = \"10s\"\nsettle = \"2s\"\nkeep = {KEEP}\nmin_size = \"1KiB\"\ndecode = \"newest\"\n",
        dir.display()
    );
    let mut world = World::start("files", &text);
    rounds(over, &mut world, |world, n| {
        world.quiet("a dump in place", 5, || written(KEEP + 2 * n));
        world.quiet("one that is copied beside and renamed", 5, || {
            let beside = dir.join("b_new.dump.partial");
            fs::write(&beside, &bytes).unwrap();
            fs::rename(&beside, name(KEEP + 2 * n + 1)).unwrap();
        });
        world.quiet("old ones go", 3, || {
            for old in [2 * n, 2 * n + 1] {
                fs::remove_file(name(old)).unwrap();
            }
        });
    });
}
