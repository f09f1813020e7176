//! The name that was probably meant.

/// The nearest of `names`, where one is near enough to be meant: the same but for case, `-` and `_`, or about one slip
/// in three letters (optimal string alignment distance).
pub fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Nobody means a known name by something longer than this.
    const LONGEST: usize = 64;
    let plain = |s: &str| -> Vec<char> {
        s.chars().flat_map(char::to_lowercase).map(|c| if c == '_' { '-' } else { c }).collect()
    };
    let wanted = plain(found);
    if wanted.len() > LONGEST {
        return None;
    }
    let near = |name: &'a str| {
        let other = plain(name);
        let most = (wanted.len().max(other.len()) / 3).max(1);
        let d = distance(&wanted, &other);
        // Of two that are as near, the one that starts alike: people seldom slip on the first letter.
        (d <= most && d < other.len()).then_some(((d, wanted.first() != other.first()), name))
    };
    names.into_iter().filter_map(near).min_by_key(|(d, _)| *d).map(|(_, name)| name)
}

/// How many letters must be changed, added, dropped or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut a_before = None;
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        let mut b_before = None;
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut d = (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if j > 0 && a_before == Some(y) && b_before == Some(x) {
                d = d.min(at(&before, j - 1) + 1);
            }
            row.push(d);
            b_before = Some(y);
        }
        before = std::mem::replace(&mut last, row);
        a_before = Some(x);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let names = ["name", "kind", "interval", "timeout", "objectives", "home"];
        for (found, meant) in [
            ("intervall", Some("interval")),
            ("itnerval", Some("interval")),
            ("Objectives", Some("objectives")),
            ("time_out", Some("timeout")),
            ("hom", Some("home")),
            ("probes", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(found, names), meant, "{found}");
        }
        assert_eq!(distance(&['a', 'b'], &['b', 'a']), 1);
        assert_eq!(distance(&[], &['b', 'a']), 2);
    }
}
