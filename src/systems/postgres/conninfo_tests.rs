use proptest::prelude::*;

use super::*;

fn pairs(text: &str) -> String {
    Params::parse(text).unwrap().to_pairs(true)
}

#[test]
fn urls_and_pairs_say_the_same() {
    assert_eq!(
        pairs("postgres://me:p%40ss@db.example.com:6543/orders?sslmode=verify-full&connect_timeout=3"),
        "connect_timeout='3' dbname='orders' host='db.example.com' port='6543' sslmode='verify-full' user='me' password='p@ss'"
    );
    assert_eq!(
        Params::parse("host = db user='it\\'s' dbname=a\\ b password = ''").unwrap().to_pairs(true),
        "dbname='a b' host='db' user='it\\'s'"
    );
    assert_eq!(pairs("postgresql://[2001:db8::1]:1,b:2/"), "host='2001:db8::1,b' port='1,2'");
    assert_eq!(pairs("postgres:///orders?host=db&ssl=true"), "dbname='orders' host='db' sslmode='require'");
    assert_eq!(pairs(""), "");
}

#[test]
fn mistakes_are_named_with_the_nearest_key() {
    let of = |text: &str| Params::parse(text).unwrap_err();
    assert_eq!(of("host=h sslmod=require").right, "did you mean sslmode?");
    assert_eq!(of("host=h sslmod=require").what, "unknown connection parameter \"sslmod\"");
    assert_eq!(of("mysql://h/d").what, "not a PostgreSQL address");
    assert!(of("host=h sslnegotiation=direct").what.contains("sslnegotiation"));
    assert!(of("host=h require_auth=scram-sha-256").what.contains("not supported"));
    for bad in ["host", "host='x", "postgres://h/%zz", "postgres://h/%00", "postgres://[::1/d", "postgres://::1/d"] {
        assert!(Params::parse(bad).is_err(), "{bad}");
    }
    Params::parse("host=h client_encoding=UTF8 gssencmode=prefer").unwrap();
}

#[test]
fn a_password_never_shows() {
    for text in ["postgres://u:hunter2@h/d", "host=h password=hunter2", "postgres://h/d?password=hunter2"] {
        let params = Params::parse(text).unwrap();
        assert!(!format!("{params:?} {} {}", params.server(), params.to_pairs(false)).contains("hunter2"), "{text}");
        assert_eq!(params.password().unwrap().expose_secret(), "hunter2");
    }
    for broken in ["postgres://u:hunter2%zz@h/d", "host=h passwrd='hunter2", "host=h 'hunter2'=x", "hunter2 pass=word"]
    {
        let e = Params::parse(broken).unwrap_err();
        assert!(!format!("{e} {e:?}").contains("hunter2"), "{e:?}");
    }
}

#[test]
fn people_see_which_server() {
    let of = |text: &str| Params::parse(text).unwrap().server();
    assert_eq!(of("postgres://u:p@a:1,b:2/d"), "a:1,b:2");
    assert_eq!(of("host=a,b"), "a:5432,b:5432");
    assert_eq!(of("service=orders"), "service orders");
}

proptest! {
    #[test]
    fn never_panics(text in ".*") {
        let _ = Params::parse(&text);
        let _ = Params::parse(&format!("postgres://{text}"));
    }

    #[test]
    fn reads_back_what_it_writes(host in "[^\u{0}]{1,20}", user in "\\PC{1,20}", password in "\\PC{1,20}") {
        let mut params = Params::default();
        params.set("host", &host).unwrap();
        params.set("user", &user).unwrap();
        params.set("password", &password).unwrap();
        prop_assert_eq!(Params::parse(&params.to_pairs(true)).unwrap(), params);
    }

    #[test]
    fn urls_carry_any_text(user in "\\PC{1,12}", password in "\\PC{1,12}", name in "\\PC{1,12}") {
        let hex = |t: &str| t.bytes().map(|b| format!("%{b:02x}")).collect::<String>();
        let params = Params::parse(&format!("postgres://{}:{}@h/{}", hex(&user), hex(&password), hex(&name))).unwrap();
        prop_assert_eq!(params.get("user"), Some(user.as_str()));
        prop_assert_eq!(params.get("dbname"), Some(name.as_str()));
        prop_assert_eq!(params.password().unwrap().expose_secret(), password.as_str());
    }
}
