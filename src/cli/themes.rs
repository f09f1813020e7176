//! The user's own themes: which there are beside a configuration, and which one is wanted.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::app::view::THEMES;
use crate::config::{self, Place, Problem, Problems, is_name, nearest};
use crate::tui::run::Wanted;
use crate::tui::theme::{Colour, Own, Paints};

/// Most themes that are read.
const MOST: usize = 100;

/// The themes beside a configuration.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Where they are looked for.
    pub folder: PathBuf,
    /// Those that can be used, by name.
    pub own: Vec<Own>,
    /// Those with mistakes.
    pub broken: Vec<(String, Problems)>,
}

/// Why a theme that the command line names cannot be used.
#[derive(Debug, Error)]
pub enum Unusable {
    /// There is none of that name.
    #[error("{0}")]
    Missing(String),
    /// It has mistakes.
    #[error(transparent)]
    Mistakes(#[from] Problems),
}

/// Reads the themes beside a configuration: `themes/*.toml`. Without that folder there are none.
#[must_use]
pub fn beside(config: &Path) -> Beside {
    let folder = config.parent().unwrap_or(Path::new("")).join("themes");
    let mut out = Beside { folder, ..Beside::default() };
    let entries = std::fs::read_dir(&out.folder).into_iter().flatten().flatten().map(|e| e.path());
    // A pipe or a device would be waited for.
    let mut files: Vec<PathBuf> =
        entries.filter(|p| p.extension().is_some_and(|e| e == "toml") && p.is_file()).take(MOST).collect();
    files.sort();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match read(&file, &name) {
            Ok(paints) => out.own.push(Own { name, paints }),
            Err(problems) => out.broken.push((name, problems)),
        }
    }
    out
}

fn read(file: &Path, name: &str) -> Result<Paints, Problems> {
    let shown = file.display().to_string();
    if !is_name(name) {
        let right = "letters, digits, '.', '_' and '-', at most 63, the first a letter or digit";
        return Err(Problems::with_file(&shown, "its name is no theme's name", right));
    }
    let format = |format: &str, text: &str| {
        (format == "colour").then(|| Colour::parse(text).err()).flatten().map(ToOwned::to_owned)
    };
    config::parse_as(&shown, &config::read(file)?, format)
}

impl Beside {
    fn names(&self) -> impl Iterator<Item = &str> {
        THEMES.into_iter().chain(self.own.iter().map(|o| o.name.as_str()))
    }

    fn mistakes(&self, name: &str) -> Option<&Problems> {
        self.broken.iter().find(|(n, _)| n == name).map(|(_, problems)| problems)
    }

    /// What would be right instead of a name that there is not.
    fn right(&self, name: &str) -> String {
        let file = self.folder.join("NAME.toml").display().to_string();
        match nearest(name, self.names()) {
            Some(near) => format!("did you mean \"{near}\"? One of your own is {file}"),
            None => format!("{}, or one of your own as {file}", self.names().collect::<Vec<_>>().join(", ")),
        }
    }

    /// What the screen is given, and a word about those that it cannot have.
    fn wanted(self, theme: Option<&str>) -> Wanted {
        let names: Vec<&str> = self.broken.iter().map(|(n, _)| n.as_str()).collect();
        let note = (!names.is_empty())
            .then(|| format!("mistakes in the theme {}: lifeboat config check names them", names.join(", ")));
        Wanted { theme: theme.map(ToOwned::to_owned), note, own: self.own, mouse: false, scenarios: Vec::new() }
    }
}

/// The screen with the theme that the command line names.
///
/// # Errors
/// [`Unusable`].
pub fn asked(name: &str, beside: Beside) -> Result<Wanted, Unusable> {
    if let Some(problems) = beside.mistakes(name) {
        return Err(problems.clone().into());
    }
    if !beside.names().any(|n| n == name) {
        return Err(Unusable::Missing(format!("there is no theme {name:?}: {}", beside.right(name))));
    }
    Ok(beside.wanted(Some(name)))
}

/// The screen with the theme that the configuration names, if it names one.
///
/// # Errors
/// The theme's mistakes, or that there is none of that name.
pub fn configured(theme: Option<&(String, Place)>, beside: Beside) -> Result<Wanted, Problems> {
    let Some((name, place)) = theme else { return Ok(beside.wanted(None)) };
    if let Some(problems) = beside.mistakes(name) {
        return Err(problems.clone());
    }
    if !beside.names().any(|n| n == name) {
        let what = format!("there is no theme {name:?}").into();
        let right = beside.right(name).into();
        return Err(Problems(vec![Problem { place: place.clone(), key: "theme".to_owned(), what, right }]));
    }
    Ok(beside.wanted(Some(name)))
}

/// Every mistake about themes: of what the configuration names, and of every file.
///
/// # Errors
/// All of them.
pub fn check(theme: Option<&(String, Place)>, beside: Beside) -> Result<(), Problems> {
    let mut all: Vec<Problem> = beside.broken.iter().flat_map(|(_, problems)| problems.0.clone()).collect();
    if let Err(Problems(of)) = configured(theme, beside) {
        all.extend(of.into_iter().filter(|p| p.key == "theme"));
    }
    if all.is_empty() { Ok(()) } else { Err(Problems(all)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("themes")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("themes").join(name), text).unwrap();
        }
        let config = dir.path().join("config.toml");
        (dir, config)
    }

    #[test]
    fn themes_beside_the_configuration_are_found_and_hide_embedded_ones() {
        let files =
            [("mine.toml", "[ready]\nfg = \"28\"\nfg16 = \"light-blue\""), ("mono.toml", ""), ("notes.txt", "x")];
        let (_dir, config) = folder(&files);
        let wanted = asked("mine", beside(&config)).unwrap();
        assert_eq!(wanted.own.iter().map(|o| o.name.as_str()).collect::<Vec<_>>(), ["mine", "mono"]);
        assert_eq!((wanted.theme.as_deref(), wanted.note), (Some("mine"), None));
        assert!(beside(Path::new("/nowhere/config.toml")).own.is_empty());
        for name in THEMES {
            assert!(asked(name, Beside::default()).is_ok());
        }
        // Every text that is embedded is one that a user could have written.
        for (name, text) in THEMES.iter().zip(crate::tui::theme::TEXTS) {
            let (dir, _) = folder(&[("x.toml", text)]);
            assert!(read(&dir.path().join("themes/x.toml"), "x").is_ok(), "{name}");
        }
    }

    #[test]
    fn mistakes_have_a_place_a_key_and_what_would_be_right() {
        let text = "[redy]\nbold = true\n[ready]\nfg = \"mauve-ish\"\nfg16 = 4\nbolt = true\n[plain]\nbg = \"#12\"\n";
        let (_dir, config) = folder(&[("mine.toml", text)]);
        let problems = check(None, beside(&config)).unwrap_err();
        let told: Vec<String> = problems
            .0
            .iter()
            .map(|p| format!("{}:{} {}: {} ({})", p.place.line, p.place.column, p.key, p.what, p.right))
            .collect();
        let right = "write one of the sixteen (green, light-red, ...), \"#rrggbb\", or \"0\" to \"255\"";
        assert_eq!(told, [
            "1:2 redy: unknown key `redy` (did you mean `ready`?)".to_owned(),
            format!("4:6 ready.fg: \"mauve-ish\" is no colour ({right})"),
            "5:8 ready.fg16: expected a colour in quotes such as \"green\", \"#d55e00\" or \"28\", found the integer 4 ()".to_owned(),
            "6:1 ready.bolt: unknown key `bolt` (did you mean `bold`?)".to_owned(),
            format!("8:6 plain.bg: \"#12\" is no colour ({right})"),
        ]);
        assert!(problems.0.iter().all(|p| p.place.file.ends_with("themes/mine.toml")));
        // It keeps the board from starting only where it is the one that is wanted.
        assert!(matches!(asked("mine", beside(&config)), Err(Unusable::Mistakes(_))));
        let note = asked("light", beside(&config)).unwrap().note.unwrap();
        assert_eq!(note, "mistakes in the theme mine: lifeboat config check names them");
    }

    #[test]
    fn a_theme_that_there_is_not_is_told_where_it_was_named() {
        let (_dir, config) = folder(&[("my own.toml", "")]);
        let text = "theme = \"ligth\"\n[[plan]]\nname = \"a\"\ntier = 1\nstrategy = \"warm-standby\"\n\
                    objectives = { rpo = \"30s\", rto = \"5m\" }\nsites = { east = \"1\", west = \"2\" }\nhome = \"east\"\n";
        let theme = config::parse("c.toml", text).unwrap().theme.unwrap();
        let problems = check(Some(&theme), beside(&config)).unwrap_err();
        let [named, missing] = problems.0.as_slice() else { panic!("{problems}") };
        assert!(named.what.as_str().contains("no theme's name") && named.place.file.ends_with("my own.toml"));
        assert_eq!((missing.place.line, missing.place.column, missing.key.as_str()), (1, 9, "theme"));
        assert_eq!(missing.what.as_str(), "there is no theme \"ligth\"");
        assert!(
            missing.right.as_str().starts_with("did you mean \"light\"? One of your own is /"),
            "{}",
            missing.right
        );
        let Err(Unusable::Missing(text)) = asked("solarized", beside(&config)) else { panic!("it is there") };
        assert!(text.starts_with("there is no theme \"solarized\": default, light, high-contrast, mono, or"), "{text}");
    }
}
