//! Which file, and its text.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::problem::{Lines, Report};
use super::{Config, Problems, parse};

/// The environment variable that names the configuration.
pub const ENV: &str = "LIFEBOAT_CONFIG";
/// The largest file that is read, in bytes: a thousand plans take less than a tenth of it.
const LARGEST: u64 = 4 << 20;

/// Which file to read: what the command line names, else what `LIFEBOAT_CONFIG` names, else `config.toml` where the
/// platform keeps configurations.
///
/// # Errors
/// Where none is named and the platform has no such place (no home directory).
pub fn find(cli_path: Option<&Path>) -> Result<PathBuf, Problems> {
    let platform = directories::ProjectDirs::from("", "", "lifeboat").map(|d| d.config_dir().join("config.toml"));
    find_among(cli_path, std::env::var_os(ENV), platform)
}

fn find_among(cli: Option<&Path>, env: Option<OsString>, platform: Option<PathBuf>) -> Result<PathBuf, Problems> {
    let env = env.filter(|e| !e.is_empty()).map(PathBuf::from);
    cli.map(Path::to_path_buf).or(env).or(platform).ok_or_else(|| {
        Problems::with_file(
            "lifeboat",
            "no configuration is named, and there is no home directory",
            "name it with --config",
        )
    })
}

/// Reads and checks a file.
///
/// # Errors
/// Every mistake at once; or that the file cannot be read.
pub fn load(path: &Path) -> Result<Config, Problems> {
    parse(&path.display().to_string(), &read(path)?)
}

/// Reads a file's text.
///
/// # Errors
/// That the file cannot be read: missing, a directory, not allowed, not UTF-8, above 4 MiB.
pub fn read(path: &Path) -> Result<String, Problems> {
    let name = path.display().to_string();
    let failed = |e: &std::io::Error| {
        #[expect(clippy::wildcard_enum_match_arm, reason = "ErrorKind is open; the system's own words serve")]
        match e.kind() {
            std::io::ErrorKind::NotFound => {
                let right = format!("name another with --config or {ENV}; config.example.toml shows how it looks");
                Problems::with_file(&name, "there is no such file", &right)
            }
            std::io::ErrorKind::IsADirectory => Problems::with_file(&name, "is a directory", "name a file"),
            std::io::ErrorKind::PermissionDenied => Problems::with_file(&name, "may not be read by this user", ""),
            _ => Problems::with_file(&name, &format!("cannot be read: {e}"), ""),
        }
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| failed(&e))?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|e| failed(&e))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Problems::with_file(&name, "is larger than 4 MiB", "is this the right file?"));
    }
    utf8(&name, bytes)
}

fn utf8(name: &str, bytes: Vec<u8>) -> Result<String, Problems> {
    String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(e.as_bytes()).into_owned();
        let mut report = Report::new(Lines::new(name, &text));
        report.add(&(good..good + 1), "", "not UTF-8", "save it as UTF-8");
        report.done().err().unwrap_or_else(|| Problems::with_file(name, "not UTF-8", "save it as UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(result: Result<Config, Problems>) -> String {
        let problems = result.unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        problems.to_string()
    }

    #[test]
    fn the_command_line_wins_over_the_environment_over_the_platform() {
        let path = |s: &str| Some(PathBuf::from(s));
        let cli = Path::new("cli");
        assert_eq!(find_among(Some(cli), Some("env".into()), path("home")), Ok("cli".into()));
        assert_eq!(find_among(None, Some("env".into()), path("home")), Ok("env".into()));
        assert_eq!(find_among(None, Some("".into()), path("home")), Ok("home".into()));
        assert!(find_among(None, None, None).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_one_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(only(load(&dir.path().join("none.toml"))).contains("none.toml: there is no such file"));
        assert!(only(load(dir.path())).contains("is a directory"));
        let file = dir.path().join("x.toml");
        std::fs::write(&file, b"here = \"elsewhere\"\nstate = \"/v\xffr\"\n").unwrap();
        assert!(only(load(&file)).contains("x.toml:2:12: not UTF-8"), "{}", only(load(&file)));
        std::fs::write(&file, vec![b'#'; (LARGEST + 1) as usize]).unwrap();
        assert!(only(load(&file)).contains("is larger than 4 MiB"));
        std::fs::write(&file, "a = \n").unwrap();
        assert!(only(load(&file)).contains("x.toml:1:5: not TOML"));
    }
}
