//! Screens as they are drawn, and the loop with injected input and time.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::fixture::{self, Health, at};
use super::frame::{Drawn, Look, draw};
use super::theme::Depth;
use crate::app::board::Sort;
use crate::app::event::{Key, KeyCode, Pointed, PointerAct};
use crate::app::view::{Overlay, Screen};
use crate::app::{App, Effect, Event, Stamped, Update, update};
use crate::plan::{Now, PlanId};

const PLAIN: Look = Look { depth: Depth::Ansi16, ascii: false, own: Vec::new() };

fn shot_with(app: &App, look: &Look, now: Now) -> (String, Drawn) {
    let mut buf = Buffer::empty(Rect::new(0, 0, app.view.cols, app.view.rows));
    let drawn = draw(&mut buf, app, look, now);
    let mut out = String::new();
    for y in 0..app.view.rows {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..app.view.cols {
            let symbol = buf[(x, y)].symbol();
            if skip == 0 {
                line.push_str(symbol);
                skip = unicode_width::UnicodeWidthStr::width(symbol).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    (out, drawn)
}

fn shot(app: &App, now: Now) -> String {
    shot_with(app, &PLAIN, now).0
}

fn key(app: &mut App, code: KeyCode, now: Now) -> Update {
    update(app, Stamped { at: now, event: Event::Key(Key { code, ctrl: false }) })
}

fn typed(app: &mut App, text: &str, now: Now) -> Update {
    let mut last = Update::default();
    for c in text.chars() {
        last = key(app, if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) }, now);
    }
    last
}

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

#[test]
fn boards() {
    for (cols, rows) in SIZES {
        insta::assert_snapshot!(format!("board_normal_{cols}"), shot(&fixture::normal(cols, rows), at(61)));
        insta::assert_snapshot!(format!("board_trouble_{cols}"), shot(&fixture::trouble(cols, rows), at(108)));
    }
    insta::assert_snapshot!("board_reading", shot(&fixture::reading(80, 24), at(0)));
    insta::assert_snapshot!("board_starting", shot(&fixture::starting(&fixture::PLANS, 80, 24), at(1)));
    insta::assert_snapshot!("board_empty", shot(&fixture::starting(&[], 80, 24), at(1)));
    let ascii = Look { ascii: true, ..PLAIN };
    let (text, _) = shot_with(&fixture::trouble(80, 24), &ascii, at(108));
    assert!(text.is_ascii());
    insta::assert_snapshot!("board_ascii", text);
}

#[test]
fn plans() {
    for (cols, rows) in SIZES {
        let mut app = fixture::trouble(cols, rows);
        typed(&mut app, "\n", at(108));
        insta::assert_snapshot!(format!("plan_trouble_{cols}"), shot(&app, at(108)));
        let mut app = fixture::normal(cols, rows);
        typed(&mut app, ":plan search\n", at(61));
        insta::assert_snapshot!(format!("plan_normal_{cols}"), shot(&app, at(61)));
    }
    let mut app = fixture::normal(120, 40);
    typed(&mut app, ":plan payments\nj", at(61));
    insta::assert_snapshot!("plan_chart", shot(&app, at(61)));
}

#[test]
fn other_screens() {
    let mut app = fixture::trouble(120, 40);
    typed(&mut app, "t", at(108));
    insta::assert_snapshot!("timeline", shot(&app, at(108)));
    let mut app = fixture::normal(80, 40);
    typed(&mut app, "?", at(61));
    insta::assert_snapshot!("help", shot(&app, at(61)));
    let mut app = fixture::normal(80, 24);
    typed(&mut app, ":pl", at(61));
    insta::assert_snapshot!("palette", shot(&app, at(61)));
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "/ready", at(61));
    insta::assert_snapshot!("filter", shot(&app, at(61)));
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "sj", at(61));
    insta::assert_snapshot!("sort", shot(&app, at(61)));
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "f", at(61));
    insta::assert_snapshot!("frozen", shot(&app, at(200)));
    let mut app = fixture::normal(30, 5);
    typed(&mut app, "j", at(61));
    insta::assert_snapshot!("too_small", shot(&app, at(61)));
}

/// A screen on which a user's theme `mine` paints ready text.
fn with_own_theme() -> (App, Look) {
    use super::run::{Wanted, wear};
    use super::theme::{Own, Paints};
    let paints: Paints = toml::from_str("[plain]\nbg = \"black\"\n[ready]\nfg = \"light-blue\"").unwrap();
    let (mut app, mut look) = (fixture::normal(80, 24), PLAIN);
    let wanted = Wanted { own: vec![Own { name: "mine".into(), paints }], ..Wanted::default() };
    wear(&mut app, &mut look, wanted, at(61));
    (app, look)
}

#[test]
fn key_and_palette_know_the_users_own_themes() {
    let (mut app, look) = with_own_theme();
    let mut seen = vec![app.view.theme.clone()];
    for _ in 0..5 {
        typed(&mut app, "c", at(61));
        seen.push(app.view.theme.clone());
    }
    assert_eq!(seen, ["default", "light", "high-contrast", "mono", "mine", "default"]);
    typed(&mut app, ":theme mine\n", at(61));
    assert_eq!(app.view.theme, "mine");
    let mut buf = Buffer::empty(Rect::new(0, 0, 80, 24));
    draw(&mut buf, &app, &look, at(61));
    assert!(buf.content.iter().all(|c| c.bg == ratatui::style::Color::Black), "the theme's background is everywhere");
    let ready = buf.content.iter().find(|c| c.symbol() == "●").unwrap();
    assert_eq!(ready.fg, ratatui::style::Color::LightBlue);
}

#[test]
fn only_words_are_reversed_and_underlined() {
    use ratatui::style::Modifier;
    for name in ["high-contrast", "mono"] {
        let mut app = fixture::trouble(120, 40);
        app.view.theme = name.into();
        typed(&mut app, "\n", at(108));
        let mut buf = Buffer::empty(Rect::new(0, 0, 120, 40));
        draw(&mut buf, &app, &PLAIN, at(108));
        let marked = |x: u16, y: u16| buf[(x, y)].modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED);
        let (mut words, mut loose) = (0, Vec::new());
        for (x, y) in (0..40).flat_map(|y| (1..119).map(move |x| (x, y))).filter(|(x, y)| marked(*x, *y)) {
            words += 1;
            // A blank between two words of one text is a part of it.
            if buf[(x, y)].symbol() == " " && !(marked(x - 1, y) && marked(x + 1, y)) {
                loose.push((x, y));
            }
        }
        assert!(words > 10 && loose.is_empty(), "{name}: {words} {loose:?}");
    }
}

#[test]
fn what_lies_under_an_overlay_does_not_colour_it() {
    let mut app = fixture::normal(80, 24);
    typed(&mut app, ":", at(61));
    let mut buf = Buffer::empty(Rect::new(0, 0, 80, 24));
    draw(&mut buf, &app, &PLAIN, at(61));
    let inside = |x: u16, y: u16| (6..74).contains(&x) && (5..14).contains(&y);
    let coloured = (0..24).flat_map(|y| (0..80).map(move |x| (x, y))).filter(|(x, y)| inside(*x, *y));
    for (x, y) in coloured {
        let fg = buf[(x, y)].fg;
        let red = [ratatui::style::Color::Red, ratatui::style::Color::Magenta, ratatui::style::Color::Green];
        assert!(!red.contains(&fg), "{x},{y}: {fg:?}");
    }
}

/// What the mouse does at the first place at which the screen shows this text.
fn point(app: &mut App, act: PointerAct, text: &str, now: Now) -> Update {
    let (screen, drawn) = shot_with(app, &PLAIN, now);
    let row = screen.lines().position(|l| l.contains(text)).unwrap_or_else(|| panic!("{text} is not on\n{screen}"));
    let line = screen.lines().nth(row).unwrap();
    let col = line.split(text).next().unwrap().chars().count();
    let on = drawn.at(u16::try_from(col).unwrap(), u16::try_from(row).unwrap());
    update(app, Stamped { at: now, event: Event::Pointed(Pointed { act, on }) })
}

#[test]
fn a_click_selects_and_a_second_one_opens() {
    let mut app = fixture::normal(80, 24);
    let selected = |app: &App| app.view.selected.as_ref().map(|p| p.as_str().to_owned());
    assert_eq!(selected(&app).as_deref(), Some("reports"));
    point(&mut app, PointerAct::Click, "mail", at(61));
    assert_eq!((selected(&app).as_deref(), &app.view.screen), (Some("mail"), &Screen::Board));
    point(&mut app, PointerAct::Click, "mail", at(61));
    assert_eq!(app.view.screen, Screen::Plan(PlanId::new("mail")));
    // In the plan: findings are selected, the wheel moves among them or scrolls the details.
    let before = app.view.finding.clone();
    point(&mut app, PointerAct::Click, "db.west.example.com:5432: looked at", at(61));
    assert!(app.view.finding.is_some() && app.view.finding != before);
    let on_west = app.view.finding.clone();
    point(&mut app, PointerAct::WheelUp, "db.west.example.com:5432: looked at", at(61));
    assert_ne!(app.view.finding, on_west);
    assert_eq!(app.view.detail, 0);
    point(&mut app, PointerAct::WheelDown, "IF WE FAILED OVER NOW", at(61));
    assert_eq!(app.view.detail, 3);
    // A click where nothing is does nothing.
    let update = point(&mut app, PointerAct::Click, "lifeboat", at(61));
    assert_eq!(update, Update::default());
}

#[test]
fn the_wheel_moves_the_cursor_and_scrolls() {
    let mut app = fixture::normal(80, 24);
    point(&mut app, PointerAct::WheelDown, "PLAN", at(61));
    assert_eq!(app.view.cursor(), Some(1));
    point(&mut app, PointerAct::WheelUp, "archive", at(61));
    assert_eq!(app.view.cursor(), Some(0));
    typed(&mut app, "?", at(61));
    point(&mut app, PointerAct::WheelDown, "help", at(61));
    assert_eq!(app.view.help, 3);
}

#[test]
fn what_lies_over_the_screen_keeps_the_mouse() {
    let mut app = fixture::normal(120, 40);
    typed(&mut app, "s", at(61));
    point(&mut app, PointerAct::Click, "archive", at(61));
    assert_eq!(app.view.selected.as_ref().map(PlanId::as_str), Some("reports"), "the list under it is out of reach");
    point(&mut app, PointerAct::Click, "the most important first", at(61));
    assert_eq!(app.view.overlay, Some(Overlay::Sort { chosen: Sort::Tier }));
    point(&mut app, PointerAct::Click, "the most important first", at(61));
    assert_eq!((&app.view.overlay, app.view.sort), (&None, Sort::Tier));
    typed(&mut app, ":theme", at(61));
    point(&mut app, PointerAct::Click, "theme mono", at(61));
    point(&mut app, PointerAct::Click, "theme mono", at(61));
    assert_eq!(app.view.theme, "mono");
}

#[test]
fn nothing_dangerous_is_done_by_mouse() {
    for keys in ["", "\n", "t", "?", ":", ":fail", "/x", "s"] {
        for (cols, rows) in SIZES {
            let mut opened = fixture::trouble(cols, rows);
            typed(&mut opened, keys, at(108));
            let (_, drawn) = shot_with(&opened, &PLAIN, at(108));
            for (x, y) in (0..rows).flat_map(|y| (0..cols).step_by(3).map(move |x| (x, y))) {
                let Some(spot) = drawn.at(x, y) else { continue };
                if !drawn.spots.iter().any(|(area, _)| (area.x / 3 * 3, area.y) == (x, y)) {
                    continue; // once for each spot is enough
                }
                let mut app = fixture::starting(&[], cols, rows);
                app.view = opened.view.clone();
                for act in [PointerAct::Click, PointerAct::Click, PointerAct::WheelDown] {
                    let pointed = Pointed { act, on: Some(spot.clone()) };
                    let update = update(&mut app, Stamped { at: at(108), event: Event::Pointed(pointed) });
                    let harmless = |e: &Effect| {
                        matches!(e, Effect::Quit | Effect::Copy(_) | Effect::Mouse(_) | Effect::PollNow(_))
                    };
                    assert!(update.effects.iter().all(harmless), "{spot:?}: {:?}", update.effects);
                    let said = app.view.message.as_ref().map(|m| m.text.as_str()).unwrap_or_default();
                    assert!(!said.contains("is off:"), "a dangerous action was asked for at {spot:?}");
                }
            }
        }
    }
}

#[test]
fn a_finding_is_copied_with_what_to_do() {
    let mut app = fixture::normal(80, 24);
    let update = typed(&mut app, ":plan search\ny", at(61));
    let text = "search: api:1.42.0 is not in west\nnext: copy it: skopeo copy, then look again";
    assert_eq!(update.effects, [Effect::Copy(text.into())]);
    assert!(shot(&app, at(61)).contains("copied: the finding and what to do next, if the terminal allows it"));
    let next = [Effect::Copy("copy it: skopeo copy, then look again".into())];
    assert_eq!(typed(&mut app, ":copy next\n", at(61)).effects, next);
    // On the board, the selected plan's reason; of a plan that is ready there is none.
    let mut app = fixture::normal(80, 24);
    typed(&mut app, ":sort name\ng", at(61));
    assert_eq!(app.view.selected.as_ref().map(PlanId::as_str), Some("archive"));
    assert_eq!(typed(&mut app, "y", at(61)).effects, []);
    assert!(shot(&app, at(61)).contains("nothing to copy"));
    typed(&mut app, "G", at(61));
    let update = typed(&mut app, "ey", at(61));
    assert_eq!(update.effects, [Effect::Copy(text.into())]);
}

#[test]
fn the_mouse_can_be_left_to_the_terminal() {
    let mut app = fixture::normal(80, 24);
    app.view.mouse = true;
    assert_eq!(typed(&mut app, "m", at(61)).effects, [Effect::Mouse(false)]);
    assert!(shot(&app, at(61)).contains("mouse off: the terminal selects text with it"));
    assert_eq!(typed(&mut app, ":mouse\n", at(61)).effects, [Effect::Mouse(true)]);
}

#[test]
fn nothing_green_is_shown_before_anything_was_seen() {
    let text = shot(&fixture::starting(&fixture::PLANS, 80, 24), at(1));
    assert!(!text.contains('●') && text.contains("looking"), "{text}");
}

#[test]
fn a_frozen_screen_stands_still_and_thaws_when_anything_gets_worse() {
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "f", at(61));
    let before = shot(&app, at(61));
    fixture::look(&mut app, "payments", Health::Fine, at(66));
    assert!(!app.settle(at(66)).dirty);
    assert_eq!(shot(&app, at(66)), before);
    // The primary falls silent; once its last answer is too old, the screen must not go on as if it were there.
    for secs in (70..100).step_by(5) {
        fixture::look(&mut app, "payments", Health::PrimaryGone, at(secs));
        app.settle(at(secs));
    }
    assert!(app.view.frozen.is_none());
    assert!(shot(&app, at(95)).contains("PRIMARY UNREACHABLE"));
}

#[test]
fn a_frozen_screen_thaws_when_one_more_area_of_a_bad_plan_fails() {
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "f", at(61));
    // `reports` is not ready already, for its standby; now its backup cannot be seen either.
    fixture::look(&mut app, "reports", Health::StandbyBroken, at(66));
    app.settle(at(66));
    assert!(app.view.frozen.is_some());
    fixture::look(&mut app, "reports", Health::PrimaryGone, at(71));
    fixture::look(&mut app, "reports", Health::BackupBlind, at(76));
    app.settle(at(76));
    assert!(app.view.frozen.is_none());
}

#[test]
fn the_cursor_stays_on_its_plan_when_the_order_changes() {
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "gjj", at(61));
    let chosen = app.view.selected.clone().unwrap();
    fixture::look(&mut app, "archive", Health::StandbyBroken, at(66));
    fixture::look(&mut app, "reports", Health::Fine, at(66));
    app.settle(at(66));
    assert_eq!(app.view.selected.as_ref(), Some(&chosen));
    typed(&mut app, "\n", at(66));
    assert_eq!(app.view.screen, Screen::Plan(chosen));
}

#[test]
fn the_cursor_that_nobody_moved_is_on_the_worst_plan() {
    let mut app = fixture::normal(80, 24);
    assert_eq!(app.view.cursor(), Some(0));
    fixture::look(&mut app, "mail", Health::StandbyBroken, at(66));
    app.settle(at(66));
    assert_eq!(app.view.selected.as_ref().map(crate::plan::PlanId::as_str), Some("mail"));
    assert_eq!(app.view.cursor(), Some(0));
    // Asking something of a plan takes it.
    typed(&mut app, "r", at(67));
    fixture::look(&mut app, "payments", Health::StandbyBroken, at(71));
    app.settle(at(71));
    assert_eq!(app.view.selected.as_ref().map(crate::plan::PlanId::as_str), Some("mail"));
    assert_eq!(app.view.cursor(), Some(1));
}

#[test]
fn poll_now_is_about_the_selected_plan() {
    let mut app = fixture::normal(80, 24);
    typed(&mut app, "/mail\n", at(61));
    let update = typed(&mut app, "r", at(61));
    let plan = &app.model.status(&PlanId::new("mail")).unwrap().plan;
    assert_eq!(update.effects, [Effect::PollNow(fixture::lanes(plan))]);
    let mut app = fixture::normal(80, 24);
    assert_eq!(typed(&mut app, ":poll all\n", at(61)).effects, [Effect::PollNow(Vec::new())]);
}

#[test]
fn dangerous_keys_do_nothing_and_say_why() {
    let mut app = fixture::normal(80, 24);
    for c in ["F", "S"] {
        let update = typed(&mut app, c, at(61));
        assert_eq!(update.effects, []);
        assert!(shot(&app, at(61)).contains("no runbook configured"));
    }
    update(&mut app, Stamped { at: at(61), event: Event::Pasted });
    assert!(shot(&app, at(61)).contains("pasted text is not taken"));
}

#[test]
fn only_visible_rows_are_formatted() {
    let names: Vec<String> = (0..3_000).map(|i| format!("plan-{i:06}")).collect();
    let plans: Vec<(&str, u8)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    let mut app = fixture::starting(&plans, 120, 40);
    // As many rows as a hundred thousand plans would have; the plans themselves may repeat.
    app.view.shown = app.view.shown.iter().cycle().take(100_000).cloned().collect();
    app.view.top = 50_000;
    let (_, drawn) = shot_with(&app, &PLAIN, at(1));
    assert!(drawn.formatted > 30 && drawn.formatted <= 40, "{}", drawn.formatted);
}

#[test]
fn every_size_draws() {
    let mut apps = vec![fixture::trouble(80, 24), fixture::normal(80, 24), fixture::reading(80, 24)];
    for keys in ["\n", "t", "?", ":p", "/x", "s"] {
        let mut app = fixture::trouble(80, 24);
        typed(&mut app, keys, at(108));
        apps.push(app);
    }
    for app in &mut apps {
        for (cols, rows) in [(1, 1), (2, 9), (39, 7), (40, 8), (41, 9), (60, 12), (99, 20), (150, 9), (300, 100)] {
            update(app, Stamped { at: at(108), event: Event::Resized { cols, rows } });
            shot(app, at(108));
        }
    }
}

mod the_loop {
    use super::*;
    use crate::app::{Memory, Polled};
    use crate::plan::{LaneId, Plan};
    use crate::tui::input::Input;
    use crate::tui::quiet::Quiet;
    use crate::tui::run::{End, Failure, Inbox, Notice, Outside, Session, Wanted};
    use futures_util::{StreamExt, stream};
    use ratatui::Terminal;
    use ratatui::backend::{Backend, ClearType, TestBackend, WindowSize};
    use ratatui::buffer::Cell;
    use ratatui::layout::{Position, Size};
    use std::cell::RefCell;
    use std::convert::Infallible;
    use std::io;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    /// Counts frames, and the cells that each sent.
    #[derive(Clone, Default)]
    struct Frames(Rc<RefCell<Vec<usize>>>);

    struct Counting(TestBackend, Frames);

    impl Backend for Counting {
        type Error = Infallible;
        fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> Result<(), Infallible> {
            let cells: Vec<_> = content.collect();
            self.1.0.borrow_mut().push(cells.len());
            self.0.draw(cells.into_iter())
        }
        fn hide_cursor(&mut self) -> Result<(), Infallible> {
            self.0.hide_cursor()
        }
        fn show_cursor(&mut self) -> Result<(), Infallible> {
            self.0.show_cursor()
        }
        fn get_cursor_position(&mut self) -> Result<Position, Infallible> {
            self.0.get_cursor_position()
        }
        fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> Result<(), Infallible> {
            self.0.set_cursor_position(position)
        }
        fn clear(&mut self) -> Result<(), Infallible> {
            self.0.clear()
        }
        fn clear_region(&mut self, clear_type: ClearType) -> Result<(), Infallible> {
            self.0.clear_region(clear_type)
        }
        fn size(&self) -> Result<Size, Infallible> {
            self.0.size()
        }
        fn window_size(&mut self) -> Result<WindowSize, Infallible> {
            self.0.window_size()
        }
        fn flush(&mut self) -> Result<(), Infallible> {
            self.0.flush()
        }
    }

    /// What the loop asked for.
    #[derive(Clone, Default)]
    struct Asked(Rc<RefCell<Vec<String>>>);

    impl Outside for Asked {
        fn start(&mut self, plans: &[Arc<Plan>]) {
            self.0.borrow_mut().push(format!("start {}", plans.len()));
        }
        fn poll_now(&mut self, lanes: &[LaneId]) {
            self.0.borrow_mut().push(format!("poll {}", lanes.len()));
        }
        fn remember(&mut self, memories: Vec<Memory>) {
            assert!(!memories.is_empty());
        }
        fn copy(&mut self, text: &str) -> io::Result<()> {
            self.0.borrow_mut().push(format!("copy {text}"));
            Ok(())
        }
        fn mouse(&mut self, on: bool) -> io::Result<()> {
            self.0.borrow_mut().push(format!("mouse {on}"));
            Ok(())
        }
        fn suspend(&mut self) -> io::Result<()> {
            self.0.borrow_mut().push("suspend".into());
            Ok(())
        }
        fn resume(&mut self) -> io::Result<()> {
            self.0.borrow_mut().push("resume".into());
            Ok(())
        }
    }

    /// The paused clock: the fixture's 61st second when it is first asked in a test.
    fn clock() -> Now {
        thread_local! { static FIRST: Instant = Instant::now(); }
        FIRST.with(|first| at(61).plus(first.elapsed()))
    }

    struct Rig {
        frames: Frames,
        asked: Asked,
        notices: mpsc::Sender<Notice>,
        polls: mpsc::Sender<Polled>,
        input: mpsc::Sender<Input>,
    }

    /// Runs the loop on an app beside `play`, until it ends.
    async fn run<F: Future<Output = ()>>(mut app: App, play: impl FnOnce(Rig) -> F) -> (End, App) {
        clock();
        let (notices_in, notices) = mpsc::channel(64);
        let (polls_in, polls) = mpsc::channel(256);
        let (input_in, input_out) = mpsc::channel::<Input>(512);
        let input = stream::unfold(input_out, |mut rx| async move { rx.recv().await.map(|e| (e, rx)) }).boxed_local();
        let (frames, asked) = (Frames::default(), Asked::default());
        let backend = Counting(TestBackend::new(app.view.cols, app.view.rows), frames.clone());
        let mut terminal = Terminal::new(Quiet::new(backend)).unwrap();
        let rig = Rig { frames, asked: asked.clone(), notices: notices_in, polls: polls_in, input: input_in };
        let mut session = Session::new(&mut terminal, &mut app, asked, PLAIN, clock);
        let (end, ()) = tokio::join!(session.run(Inbox { notices, polls }, input), play(rig));
        (end.unwrap(), app)
    }

    fn press(c: char) -> Event {
        Event::Key(Key { code: KeyCode::Char(c), ctrl: false })
    }

    async fn pass(millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_changed_is_nothing_drawn() {
        let mut app = fixture::normal(80, 24);
        app.view.top = 0;
        let (end, _) = run(app, async |rig| {
            // What the session finds when it begins is judged and drawn; then a key is one frame.
            pass(500).await;
            let begun = rig.frames.0.borrow().len();
            rig.input.send(press('j').into()).await.unwrap();
            pass(100).await;
            assert_eq!(rig.frames.0.borrow().len(), begun + 1);
            // A key without a meaning, and looks that find all as it was.
            rig.input.send(press('x').into()).await.unwrap();
            let plan = fixture::plan("payments", 1);
            let mut frames = Vec::new();
            for _ in 0..3 {
                for polled in fixture::looks(&plan, Health::Fine, clock()) {
                    rig.polls.send(polled).await.unwrap();
                }
                pass(1_000).await;
                frames.push(rig.frames.0.borrow().len());
            }
            assert_eq!(frames[1..], [frames[0], frames[0]], "{:?}", rig.frames.0.borrow());
            rig.input.send(press('q').into()).await.unwrap();
        })
        .await;
        assert_eq!(end, End::Quit);
    }

    #[tokio::test(start_paused = true)]
    async fn the_mouse_is_about_what_was_drawn() {
        let (_, app) = run(fixture::normal(80, 24), async |rig| {
            rig.notices.send(Notice::Event(Event::Woke)).await.unwrap();
            rig.input.send(press('c').into()).await.unwrap();
            pass(100).await;
            // The third row of the board, whatever is judged before the click is taken in.
            let click = Input::Mouse { act: PointerAct::Click, col: 5, row: 5 };
            for input in [click.clone(), click] {
                rig.input.send(input).await.unwrap();
            }
            pass(100).await;
            rig.input.send(press('y').into()).await.unwrap();
            pass(100).await;
            let asked = rig.asked.0.borrow().clone();
            assert!(matches!(asked.as_slice(), [one] if one.starts_with("copy search: ")), "{asked:?}");
            rig.input.send(press('q').into()).await.unwrap();
        })
        .await;
        assert_eq!(app.view.screen, Screen::Plan(PlanId::new("search")));
    }

    #[tokio::test(start_paused = true)]
    async fn the_mouse_is_taken_once_the_configuration_says_so() {
        for mouse in [false, true] {
            let (_, _) = run(fixture::reading(80, 24), async |rig| {
                let wanted = Wanted { mouse, ..Wanted::default() };
                let plans = vec![fixture::plan("payments", 1)];
                rig.notices.send(Notice::Configured { plans, runbooks: Default::default(), wanted }).await.unwrap();
                pass(100).await;
                let taken = rig.asked.0.borrow().contains(&"mouse true".to_owned());
                assert_eq!(taken, mouse);
                rig.input.send(press('q').into()).await.unwrap();
            })
            .await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_frame() {
        let (_, app) = run(fixture::normal(80, 24), async |rig| {
            for _ in 0..200 {
                rig.input.send(press('j').into()).await.unwrap();
            }
            pass(5).await;
            assert_eq!(rig.frames.0.borrow().len(), 1);
            for c in ['k', 'k', 'k'] {
                rig.input.send(press(c).into()).await.unwrap();
                pass(1).await;
            }
            pass(40).await;
            assert_eq!(rig.frames.0.borrow().len(), 2, "three keys within one frame's time are one frame");
            rig.input.send(press('q').into()).await.unwrap();
        })
        .await;
        assert_eq!(app.view.cursor(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_turns_to_unknown_by_itself() {
        let (_, app) = run(fixture::normal(80, 24), async |rig| {
            pass(20_000).await;
            assert!(!rig.frames.0.borrow().is_empty());
            rig.notices.send(Notice::Event(Event::Ended("SIGTERM".into()))).await.unwrap();
        })
        .await;
        let status = app.model.status(&PlanId::new("payments")).unwrap();
        assert_eq!(status.readiness, crate::readiness::Verdict::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_minute_sends_a_few_cells() {
        // Nothing arrives and nothing may age: a board without plans, but for the minute of its clock.
        let (_, _) = run(fixture::starting(&[], 80, 24), async |rig| {
            rig.input.send(press('j').into()).await.unwrap();
            pass(100).await;
            rig.frames.0.borrow_mut().clear();
            pass(60_000).await;
            assert_eq!(rig.frames.0.borrow().len(), 1);
            assert!(rig.frames.0.borrow().iter().sum::<usize>() <= 4);
            rig.input.send(press('q').into()).await.unwrap();
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_rest_of_the_process_says_is_done() {
        let (end, _) = run(fixture::reading(80, 24), async |rig| {
            let plans = vec![fixture::plan("payments", 1)];
            rig.notices
                .send(Notice::Configured {
                    plans,
                    runbooks: Default::default(),
                    wanted: Wanted { theme: Some("mono".into()), ..Wanted::default() },
                })
                .await
                .unwrap();
            pass(50).await;
            rig.input.send(press('r').into()).await.unwrap();
            let suspend = Event::Key(Key { code: KeyCode::Char('z'), ctrl: true });
            rig.input.send(suspend.into()).await.unwrap();
            pass(50).await;
            rig.notices.send(Notice::Stop).await.unwrap();
            rig.notices.send(Notice::Continued).await.unwrap();
            pass(50).await;
            assert_eq!(*rig.asked.0.borrow(), ["start 1", "poll 7", "suspend", "suspend", "resume"]);
            let failure = Failure { text: "no".into(), status: 65 };
            rig.notices.send(Notice::Failed(failure)).await.unwrap();
        })
        .await;
        assert_eq!(end, End::Failed(Failure { text: "no".into(), status: 65 }));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_the_input_is_the_end() {
        let (end, _) = run(fixture::normal(80, 24), async |rig| drop(rig.input)).await;
        assert_eq!(end, End::Ended("terminal".into()));
    }
}

mod guided;

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn any_event() -> impl Strategy<Value = Event> {
        let code = prop_oneof![
            8 => proptest::char::range(' ', '~').prop_map(KeyCode::Char),
            1 => Just(KeyCode::Enter),
            1 => Just(KeyCode::Esc),
            1 => Just(KeyCode::Backspace),
            1 => Just(KeyCode::Up),
            2 => Just(KeyCode::Down),
            1 => Just(KeyCode::PageDown),
            1 => Just(KeyCode::End),
        ];
        prop_oneof![
            12 => (code, proptest::bool::weighted(0.1)).prop_map(|(code, ctrl)| Event::Key(Key { code, ctrl })),
            1 => (1_u16..220, 1_u16..70).prop_map(|(cols, rows)| Event::Resized { cols, rows }),
            1 => Just(Event::Pasted),
            1 => Just(Event::Woke),
        ]
    }

    /// Everything that was judged, and how it is shown.
    fn told(app: &App) -> String {
        let judged: Vec<_> = app.model.statuses().collect();
        let shown: Vec<_> = app.view.shown.iter().map(|s| &s.plan.id).collect();
        let of = |shown: &PlanId| app.view.shown.iter().find(|s| s.plan.id == *shown).map(|s| s.at);
        let ats: Vec<_> = shown.iter().map(|id| of(id)).collect();
        let changes: Vec<_> = app.model.changes().collect();
        format!("{judged:#?} {shown:?} {ats:?} {:?} {changes:#?}", app.view.tally)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn judging_in_slices_ends_as_judging_at_once_does(
            steps in proptest::collection::vec(
                (proptest::collection::vec((0_usize..5, 0_usize..5), 0..7), 0_u64..20, 1_usize..4, 0_usize..4), 1..16
            )
        ) {
            const HEALTH: [Health; 5] = [Health::Fine, Health::ImageMissing, Health::BackupBlind, Health::StandbyBroken,
                Health::PrimaryGone];
            let mut once = fixture::starting(&fixture::PLANS, 120, 24);
            let mut sliced = fixture::starting(&fixture::PLANS, 120, 24);
            let mut secs = 60;
            for (looks, later, slice, sort) in steps {
                secs += later;
                let now = at(secs);
                for app in [&mut once, &mut sliced] {
                    app.view.sort = crate::app::board::Sort::ALL[sort];
                    for (plan, health) in &looks {
                        fixture::look(app, fixture::PLANS[*plan].0, HEALTH[*health], now);
                    }
                }
                let mut dirty = once.settle(now).dirty;
                let mut slices = 0;
                while sliced.model.is_due(now) {
                    let mut asked = 0;
                    let update = sliced.settle_while(now, || {
                        asked += 1;
                        asked <= slice
                    });
                    dirty &= !update.dirty;
                    slices += 1;
                    prop_assert!(slices <= fixture::PLANS.len(), "a slice judged nobody");
                }
                prop_assert!(!once.model.is_due(now));
                prop_assert_eq!(told(&once), told(&sliced));
                prop_assert_eq!(shot(&once, now), shot(&sliced, now));
                prop_assert!(!dirty, "a change was seen only by whoever judged at once");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn no_keys_and_sizes_break_it_and_news_never_moves_the_cursor(
            events in proptest::collection::vec((any_event(), 0_usize..5, 0_u8..5), 1..40)
        ) {
            let mut app = fixture::starting(&fixture::PLANS, 80, 24);
            for (i, (event, plan, health)) in events.into_iter().enumerate() {
                let now = at(60 + i as u64);
                update(&mut app, Stamped { at: now, event });
                shot(&app, now);
                // The cursor that nobody moved stays on the first row.
                let fixed = app.view.chosen;
                let (selected, finding, screen) =
                    (app.view.selected.clone(), app.view.finding.clone(), app.view.screen.clone());
                let health = [Health::Fine, Health::ImageMissing, Health::BackupBlind, Health::StandbyBroken,
                    Health::PrimaryGone][usize::from(health)];
                fixture::look(&mut app, fixture::PLANS[plan].0, health, now);
                app.settle(now);
                prop_assert!(!fixed || app.view.selected == selected);
                prop_assert_eq!(&app.view.screen, &screen);
                if let Screen::Plan(id) = &screen {
                    let status = app.status(id).unwrap();
                    let ids = crate::app::view::FindingId::all(&status.findings);
                    if finding.as_ref().is_some_and(|f| ids.contains(f)) {
                        prop_assert_eq!(&app.view.finding, &finding);
                    }
                }
                // Nothing that is typed here can act on a remote other than by looking.
                shot(&app, now);
            }
        }
    }
}
