//! Images in two registries: builds that come, and tags that move on.

use std::fs;
use std::sync::atomic::AtomicBool;

use super::{World, rounds};
use crate::registry::{Registry, copy};

pub fn go(over: &AtomicBool) {
    let (east, west) = (Registry::start(), Registry::start());
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("images.txt");
    let both = |tag: &str, build: &str| {
        east.push("shop/api", tag, build);
        copy(true, &format!("{}/shop/api:{tag}", east.host()), &format!("{}/shop/api:{tag}", west.host()));
    };
    let deploy = |tag: &str| {
        let made = dir.path().join("new");
        fs::write(&made, format!("api:latest\napi:{tag}\n")).unwrap();
        fs::rename(&made, &list).unwrap();
    };
    both("latest", "first");
    both("0", "zero");
    deploy("0");
    let text = format!(
        "here = \"elsewhere\"\n[[plan]]\nname = \"shop\"\ntier = 1\nstrategy = \"warm-standby\"\nobjectives = {{ rpo = \"30s\", rto \
         = \"5m\" }}\nsites = {{ east = \"home\", west = \"away\" }}\nhome = \"east\"\nrequires = [\"images\"]\n[[plan.probe]]\n\
         name = \"images\"\nkind = \"images\"\ninterval = \"2s\"\ntimeout = \"8s\"\nhttp = true\nanonymous = true\n\
         at = {{ east = \"{}/shop\", west = \"{}/shop\" }}\nimages_from = \"{}\"\n",
        east.host(),
        west.host(),
        list.display()
    );
    let mut world = World::start("shop", &text);
    rounds(over, &mut world, |world, n| {
        // The pipeline pushes to both, and then says so: at no moment is anything missing.
        let tag = format!("{}", n + 1);
        world.quiet("a new image in both, then deployed", 3, || {
            both(&tag, &format!("build {tag}"));
            deploy(&tag);
        });
        world.quiet("the same pushed again", 2, || both(&tag, &format!("build {tag}")));
        world.quiet("idle", 4, || {});
    });
}
