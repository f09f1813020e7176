use proptest::prelude::*;

use super::*;

const ONE: &str = include_str!("../../../../tests/fixtures/pgbackrest/info.json");

#[test]
fn what_makes_no_sense_is_a_gap() {
    let gap = |text: &str| info("main", text.as_bytes()).unwrap_err();
    assert_eq!(gap("").reason, Reason::Malformed);
    assert_eq!(gap("[]").reason, Reason::Absent);
    assert_eq!(gap("{}").reason, Reason::Malformed);
    assert_eq!(gap(&ONE.replace("\"name\": \"main\"", "\"name\": \"other\"")).reason, Reason::Malformed);
    assert_eq!(gap(&ONE.replace("\"label\"", "\"lable\"")).reason, Reason::Malformed);
    assert_eq!(gap(&ONE.replace("1795227057", "\"yesterday\"")).reason, Reason::Malformed);
    let later = |from: &str, to: &str| info("main", ONE.replace(from, to).as_bytes()).unwrap();
    assert!(later("000000010000000000000005", "0000000100000000").listings().is_err());
    assert!(later("0/5000028", "nowhere").backups().is_err());
    assert!(later("1795227059", "9999999999999999").backups().is_err());
    // What a wrong key makes of an index is repeated as it is.
    let garbage = ONE.replace("\"message\": \"ok\"", "\"message\": \"line 1: \u{1}\t\n\\\" \u{2}\"");
    assert!(garbage.contains('\u{1}'));
    assert!(info("main", garbage.as_bytes()).is_ok());
    // What a later version adds is no matter.
    assert!(
        info("main", ONE.replace("\"cipher\": \"none\",", "\"cipher\": \"none\", \"new\": {},").as_bytes()).is_ok()
    );
}

#[test]
fn the_newest_backups_are_kept_and_every_newest_full_one() {
    let mut all: Json = serde_json::from_str(ONE).unwrap();
    let backups = all[0]["backup"].as_array_mut().unwrap();
    let incremental = backups[1].clone();
    for i in 0..500 {
        let mut one = incremental.clone();
        one["label"] = Json::from(format!("20261121-021053F_i{i}"));
        one["timestamp"]["stop"] = Json::from(1_795_230_000 + i);
        backups.push(one);
    }
    let stanza = info("main", all.to_string().as_bytes()).unwrap();
    let rows = stanza.backups().unwrap();
    assert_eq!(rows.len(), 1 + MOST_BACKUPS);
    assert_eq!(rows[0].text("type").unwrap().unwrap().as_str(), "full");
    assert_eq!(stanza.newest(), Some(1_795_230_499));
}

use serde_json::Value as Json;

#[test]
fn a_long_log_is_listed_in_its_newest_part() {
    let segment = |s: &str| s.parse::<WalSegment>().unwrap();
    let span = wal::Span {
        start: Some(segment("000000010000000000000003")),
        max: segment("000000010000000900000001"),
        size: 16 << 20,
    };
    assert_eq!(span.directories(), ["0000000100000006", "0000000100000007", "0000000100000008", "0000000100000009"]);
    let at = DateTime::from_timestamp(1, 0).unwrap();
    let all = |from: u64| -> BTreeMap<WalSegment, DateTime<Utc>> {
        (from..=0x901).map(|i| (WalSegment::at(1, i, 16 << 20), at)).collect()
    };
    let found = span.find(&[all(0x600)]).unwrap();
    assert_eq!((found.from, found.gaps), (Some(segment("000000010000000600000000")), 0));
    let found = span.find(&[all(0x602)]).unwrap();
    assert_eq!((found.missing, found.gaps), (Some(segment("000000010000000600000000")), 2));
    assert!(span.find(&[BTreeMap::new()]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_an_answer_makes_it_panic(at in 0..ONE.len(), cut in 0_usize..40, put in "[a-z\"{}:,0-9]{0,6}") {
        let text = format!("{}{put}{}", &ONE[..at], &ONE[(at + cut).min(ONE.len())..]);
        if let Ok(stanza) = info("main", text.as_bytes()) {
            drop((stanza.listings(), stanza.backups(), stanza.repos(), stanza.archives(&BTreeMap::new())));
        }
    }
}
