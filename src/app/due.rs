//! Which plans are to be judged: those with news, and those whose evidence has aged past a limit. Costs what changed,
//! not what there is.

use std::collections::{BTreeSet, VecDeque};

use crate::plan::BootTime;

/// Plans, by their place, that wait to be judged, and the moments at which others will.
#[derive(Debug, Default)]
pub(super) struct Due {
    waiting: VecDeque<usize>,
    plans: Vec<Plan>,
    by_age: BTreeSet<(BootTime, usize)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Plan {
    waits: bool,
    ages: Option<BootTime>,
}

impl Due {
    /// Every plan waits.
    pub(super) fn all(plans: usize) -> Self {
        let waits = Plan { waits: true, ages: None };
        Self { waiting: (0..plans).collect(), plans: vec![waits; plans], by_age: BTreeSet::new() }
    }

    /// The plan has news.
    pub(super) fn news(&mut self, plan: usize) {
        if let Some(known) = self.plans.get_mut(plan)
            && !std::mem::replace(&mut known.waits, true)
        {
            self.waiting.push_back(plan);
        }
    }

    /// What was judged of the plan changes by age alone at that moment, or never.
    pub(super) fn ages(&mut self, plan: usize, at: Option<BootTime>) {
        let Some(known) = self.plans.get_mut(plan) else { return };
        if let Some(before) = std::mem::replace(&mut known.ages, at) {
            self.by_age.remove(&(before, plan));
        }
        if let Some(at) = at {
            self.by_age.insert((at, plan));
        }
    }

    /// The plan is due by that moment at the latest.
    pub(super) fn ages_by(&mut self, plan: usize, at: BootTime) {
        let ages = self.plans.get(plan).and_then(|known| known.ages);
        if ages.is_none_or(|ages| at < ages) {
            self.ages(plan, Some(at));
        }
    }

    /// Whether a plan is to be judged now.
    pub(super) fn any(&self, now: BootTime) -> bool {
        !self.waiting.is_empty() || self.next_age().is_some_and(|at| at <= now)
    }

    /// The next plan to judge, in the order in which they became due.
    pub(super) fn next(&mut self, now: BootTime) -> Option<usize> {
        while let Some((at, plan)) = self.by_age.first().copied()
            && at <= now
        {
            self.ages(plan, None);
            self.news(plan);
        }
        let plan = self.waiting.pop_front()?;
        if let Some(known) = self.plans.get_mut(plan) {
            known.waits = false;
        }
        Some(plan)
    }

    /// When the first of the plans that do not wait ages past a limit.
    pub(super) fn next_age(&self) -> Option<BootTime> {
        self.by_age.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: u64) -> BootTime {
        BootTime(Duration::from_secs(secs))
    }

    fn drained(due: &mut Due, now: BootTime) -> Vec<usize> {
        std::iter::from_fn(|| due.next(now)).collect()
    }

    #[test]
    fn a_plan_waits_once_however_much_news_it_has() {
        let mut due = Due::all(3);
        assert_eq!(drained(&mut due, at(0)), [0, 1, 2]);
        assert!(!due.any(at(0)));
        for plan in [2, 0, 2, 7] {
            due.news(plan);
        }
        assert!(due.any(at(0)));
        assert_eq!(drained(&mut due, at(0)), [2, 0], "in the order of the news; a plan that is not there is nobody");
    }

    #[test]
    fn age_makes_due_at_its_moment_and_only_the_newest_moment_counts() {
        let mut due = Due::all(2);
        drained(&mut due, at(0));
        due.ages(0, Some(at(5)));
        due.ages(1, Some(at(9)));
        due.ages(0, Some(at(7)));
        assert_eq!(due.next_age(), Some(at(7)));
        assert_eq!(drained(&mut due, at(6)), [] as [usize; 0]);
        due.news(0);
        assert_eq!(drained(&mut due, at(8)), [0], "news and age make it due once");
        assert_eq!(due.next_age(), Some(at(9)));
        due.ages_by(1, at(10));
        assert_eq!(due.next_age(), Some(at(9)), "at the latest, not later");
        due.ages_by(1, at(8));
        assert_eq!(due.next_age(), Some(at(8)));
        due.ages(1, None);
        assert_eq!((due.next_age(), due.any(at(99))), (None, false));
    }
}
