use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_answer_makes_it_panic(text in "(\\{\"(main|_ERROR|backup_id|status)\": ?(\\[\\]|\\{\\}|null|\"DONE\"|[0-9]{1,20})\\}?,?){0,4}") {
        let text = text.as_bytes();
        drop((backups("main", text), checks("main", text), status("main", text), newest("main", text)));
    }
}
