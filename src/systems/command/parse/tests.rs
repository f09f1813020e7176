use proptest::prelude::*;

use super::*;

fn numbers(report: &Report) -> Vec<String> {
    let show = |row: &Row| {
        let get = |c: &str| match row.get(c) {
            Some(Value::Null) => "-".to_owned(),
            Some(Value::Number(n)) => n.to_string(),
            Some(other) => other.to_string(),
            None => "MISSING".to_owned(),
        };
        ["name", "value", "unit", "warn", "crit", "min", "max"].map(get).join(" ")
    };
    report.values.iter().map(show).collect()
}

#[test]
fn a_plugin_says_it_by_code_line_and_numbers() {
    let out = b"TCP OK - 0.000 second response time on 127.0.0.1 port 22|time=0.000123s;1.0;2.0;0.000000;10.000000\n";
    let report = nagios(0, out).unwrap();
    assert_eq!(report.verdict, "ready");
    assert_eq!(report.says.as_str(), "TCP OK - 0.000 second response time on 127.0.0.1 port 22");
    assert_eq!(numbers(&report), ["time 0.000123 s 1.0 2.0 0 10"]);
    for (code, verdict) in [(1, "degraded"), (2, "not-ready"), (3, "unknown")] {
        assert_eq!(nagios(code, b"it says so").unwrap().verdict, verdict);
    }
    for code in [4, 126, 127, 137, 255, -1] {
        assert_eq!(nagios(code, b"words"), Err(Not::ItsCode));
    }
}

#[test]
fn numbers_come_in_all_their_shapes() {
    let of = |numbers_text: &str| numbers(&nagios(0, format!("OK | {numbers_text}").as_bytes()).unwrap());
    assert_eq!(of("'a b'=1.5% c=2c d=U;1;2"), ["a b 1.5 % - - - -", "c 2 c - - - -", "d -  1 2 - -"]);
    assert_eq!(of("'it''s'=-3e2MB;@10:20;~:30;0;"), ["it's -300 MB @10:20 ~:30 0 -"]);
    assert_eq!(of("/=2643MB;5948;5958;0;5968 x= y 'z =3 ok=1"), ["/ 2643 MB 5948 5958 0 5968"]);
    assert_eq!(of("bad=abc good=1 =2 nan=NaN inf=inf"), ["good 1  - - - -"]);
    assert_eq!(of(&"a=1 ".repeat(1_000)).len(), MOST_VALUES);
    let long = nagios(1, b"DISK WARNING | /=1\nsecond line\nthird | /var=2\n/home=3\n").unwrap();
    assert_eq!(long.says.as_str(), "DISK WARNING");
    assert_eq!(long.values.len(), 3);
}

#[test]
fn silence_is_no_proof_of_anything() {
    for out in [&b""[..], b"\n\n", b" \t\n", b"|a=1", b"\x1b[2J\n", b"\xe2\x80\x8b"] {
        assert!(matches!(nagios(0, out), Err(Not::Said(_))), "{out:?}");
        // How a script ends that failed before it looked.
        assert_eq!(nagios(1, out), Err(Not::ItsCode));
        assert_eq!(nagios(2, out), Err(Not::ItsCode));
    }
    assert!(matches!(nagios(0, b"a\0b"), Err(Not::Said(_))));
    assert!(matches!(json(0, b""), Err(Not::Said(_))));
    assert_eq!(json(2, b" \n"), Err(Not::ItsCode));
}

#[test]
fn a_lost_exit_code_is_noticed() {
    for line in ["CRITICAL - db is gone", "PROCS WARNING: 1 process", "CHECK_X UNKNOWN - timeout", "CRITICAL"] {
        assert!(matches!(nagios(0, line.as_bytes()), Err(Not::Said(_))), "{line}");
        assert!(nagios(2, line.as_bytes()).is_ok(), "{line}");
    }
    for line in ["OK - 0 CRITICAL", "all 3 queues drained, 0 CRITICAL", "Uncritical", "critical path is fine"] {
        assert!(nagios(0, line.as_bytes()).is_ok(), "{line}");
    }
}

#[test]
fn output_is_data() {
    let report = nagios(0, b"\x1b]0;owned\x07OK \x1b[31mred\x1b[0m\x00".split(|b| *b == 0).next().unwrap()).unwrap();
    assert_eq!(report.says.as_str(), "OK red");
    let latin = nagios(0, b"OK - 21 \xb0C|t=21").unwrap();
    assert!(latin.says.as_str().starts_with("OK - 21"), "{}", latin.says);
    let long = nagios(0, &[b'x'; 1 << 20]).unwrap();
    assert!(long.says.as_str().len() <= SafeText::LIMIT);
}

#[test]
fn json_says_what_it_may_and_nothing_else() {
    let text = br#"{"verdict": "degraded", "summary": "3 of 4 brokers", "next": "start the fourth",
        "as_of": "2026-11-21T06:00:00+01:00", "values": {"brokers": {"value": 3, "warn": 4, "unit": "", "crit": null}, "lag": {"value": null, "unit": "s"}}}"#;
    let report = json(0, text).unwrap();
    assert_eq!((report.verdict, report.says.as_str()), ("degraded", "3 of 4 brokers"));
    assert_eq!(report.next.as_ref().map(SafeText::as_str), Some("start the fourth"));
    assert_eq!(report.as_of.unwrap().to_rfc3339(), "2026-11-21T05:00:00+00:00");
    assert_eq!(numbers(&report), ["brokers 3  4 - - -", "lag - s - - - -"]);
    assert!(json(1, text).is_ok());
    let wrong: &[(i32, &[u8])] = &[
        (2, text),
        (0, b"{}"),
        (0, b"[]"),
        (0, b"OK"),
        (0, br#"{"verdict":"ready"}"#),
        (0, br#"{"verdict":"ready","summary":" "}"#),
        (0, br#"{"verdict":"Ready","summary":"x"}"#),
        (0, br#"{"verdict":"ready","summary":"x","as-of":"2026-11-21T06:00:00Z"}"#),
        (0, br#"{"verdict":"ready","summary":"x","as_of":"yesterday"}"#),
        (0, br#"{"verdict":"ready","summary":"x"} trailing"#),
        (0, br#"{"verdict":"ready","summary":"x","values":{"a":{"value":"1"}}}"#),
    ];
    for (code, text) in wrong {
        assert!(matches!(json(*code, text), Err(Not::Said(_))), "{}", String::from_utf8_lossy(text));
    }
    assert_eq!(json(4, text), Err(Not::ItsCode));
}

#[test]
fn one_number_is_drawn() {
    let report = nagios(0, b"OK|a=1 b=2").unwrap();
    assert_eq!(drawn(&report.values, None), Ok(Value::Number(1.0)));
    assert_eq!(drawn(&report.values, Some("b")), Ok(Value::Number(2.0)));
    assert_eq!(drawn(&report.values, Some("c")).unwrap_err().reason, Reason::Absent);
    assert_eq!(drawn(&[], None), Ok(Value::NotApplicable));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A verdict comes with the code that goes with it and with words, or not at all.
    #[test]
    fn no_output_makes_it_panic_or_green(code in -2_i32..300, out in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(report) = nagios(code, &out) {
            prop_assert_eq!(BY_CODE.iter().position(|v| *v == report.verdict), usize::try_from(code).ok());
            prop_assert!(!report.says.as_str().is_empty());
        }
        if let Ok(report) = json(code, &out) {
            prop_assert!(!report.says.as_str().is_empty());
        }
    }

    #[test]
    fn no_numbers_make_it_panic(text in "[ 'a-z=0-9;:@~.%|\n-]{0,120}") {
        let report = nagios(0, format!("fine | {text}").as_bytes());
        prop_assert!(report.is_ok());
    }
}
