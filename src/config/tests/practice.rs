//! A practice configuration names its own world and nothing else.

const PRACTICE: &str = r#"
here  = "elsewhere"
state = "/tmp/practice/state"

[practice]
own = ["127.0.0.2:4005", "127.0.0.1:4001", "127.0.0.1:4002", "127.0.0.1:4003", "127.0.0.1:4004"]

[[plan]]
name       = "payments"
tier       = 1
strategy   = "warm-standby"
objectives = { rpo = "30s", rto = "5m" }
sites      = { east = "a", west = "b" }
home       = "east"

[[plan.probe]]
name     = "db"
kind     = "postgres"
at       = { east = "postgres://lifeboat@127.0.0.1:4001/shop?sslmode=disable", west = "postgres://lifeboat@127.0.0.1:4002/shop?sslmode=disable" }
password = { file = "/tmp/practice/password" }

[[plan.probe]]
name      = "front"
kind      = "dns"
record    = "shop.example.com"
answers   = { east = ["127.0.0.1"], west = ["127.0.0.2"] }
resolvers = ["127.0.0.1:4003"]
servers   = ["127.0.0.1:4004"]

[[plan.failover]]
step  = "fence"
kind  = "postgres-fence"
probe = "db"
on    = "old-active"

[[plan.failover]]
step    = "done"
kind    = "manual"
instructions = ["look"]
role    = "verify"
"#;

fn keys(text: &str) -> Vec<String> {
    crate::config::parse("p.toml", text).err().map(|p| p.0.into_iter().map(|p| p.key).collect()).unwrap_or_default()
}

#[test]
fn its_plans_know_their_world_and_so_does_what_a_run_is_pinned_to() {
    let config = crate::config::parse("p.toml", PRACTICE).unwrap_or_else(|p| panic!("{p}"));
    assert!(config.practice);
    let world = config.plans[0].practice.clone().expect("it is of a practice world");
    assert!(world.owns("127.0.0.1", Some(4001)) && !world.owns("127.0.0.1", Some(5432)));
    let pinned = crate::config::pinned(&config, &config.plans[0].id).expect("it is there");
    let again = crate::config::parse("pinned", &pinned).unwrap_or_else(|p| panic!("{p}\n{pinned}"));
    assert_eq!(again.plans[0].practice, Some(world));
}

#[test]
fn whatever_is_not_its_own_is_refused_at_its_place() {
    for (from, to, key) in [
        ("127.0.0.1:4001/shop", "127.0.0.1:5432/shop", "plan[payments].probe[db].at.east"),
        ("127.0.0.1:4002/shop", "db.west.example.com:4002/shop", "plan[payments].probe[db].at.west"),
        (
            "postgres://lifeboat@127.0.0.1:4001/shop?sslmode=disable",
            "host=127.0.0.1 port=5432",
            "plan[payments].probe[db].at.east",
        ),
        ("[\"127.0.0.1:4003\"]", "[\"1.1.1.1\"]", "plan[payments].probe[front].resolvers[#1]"),
        ("resolvers = [\"127.0.0.1:4003\"]\n", "", "plan[payments].probe[front].resolvers"),
        ("[\"127.0.0.1:4004\"]", "[\"ns.example.com:4004\"]", "plan[payments].probe[front].servers[#1]"),
        ("east = [\"127.0.0.1\"]", "east = [\"203.0.113.10\"]", "plan[payments].probe[front].answers.east[#1]"),
        ("{ file = \"/tmp/practice/password\" }", "{ env = \"SECRET\" }", "plan[payments].probe[db].password.env"),
        (
            "{ file = \"/tmp/practice/password\" }",
            "{ command = [\"op\"] }",
            "plan[payments].probe[db].password.command",
        ),
        ("on    = \"old-active\"", "on = \"old-active\"\nstop = [\"systemctl\"]", "plan[payments].failover[#1].stop"),
        ("\"127.0.0.1:4004\"]\n\n", "\"10.0.0.1:4004\"]\n\n", "practice.own[#5]"),
        ("state = \"/tmp/practice/state\"", "", "practice"),
    ] {
        let text = PRACTICE.replacen(from, to, 1);
        assert_ne!(text, PRACTICE, "{from}");
        assert!(keys(&text).iter().any(|k| k == key), "{to}: {:?}", crate::config::parse("p.toml", &text).err());
    }
}

#[test]
fn the_mark_in_a_real_configuration_is_refused() {
    let example = include_str!("../../../config.example.toml");
    let marked = example.replacen(
        "here = \"elsewhere\"",
        "here = \"elsewhere\"\nstate = \"/x\"\npractice = { own = [\"127.0.0.1:1\"] }",
        1,
    );
    assert!(keys(&marked).len() > 20, "{:?}", keys(&marked));
}
