//! What a shell and `man` are told, made from the command line's own words.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::CommandFactory as _;
use clap_complete::Shell;

use super::args::CommandLine;

/// Prints completions for a shell.
///
/// # Errors
/// Where they cannot be written.
pub fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "lifeboat", &mut text);
    super::print(&String::from_utf8(text).context("completions are no text")?)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the manual page, in roff: the program's own, then a section for each command.
///
/// # Errors
/// Where it cannot be written.
pub fn page() -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    let mut command = CommandLine::command();
    command.build();
    let page = clap_mangen::Man::new(command.clone());
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    subcommands(&command, &mut text)?;
    page.render_extra_section(&mut text)?;
    page.render_version_section(&mut text)?;
    super::print(&String::from_utf8(text).context("the page is no text")?)?;
    Ok(ExitCode::SUCCESS)
}

/// A section for each command, and for those below it.
fn subcommands(of: &clap::Command, text: &mut Vec<u8>) -> std::io::Result<()> {
    for command in of.get_subcommands().filter(|c| c.get_name() != "help") {
        let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_uppercase();
        text.extend_from_slice(format!(".SH \"{name}\"\n").as_bytes());
        let page = clap_mangen::Man::new(command.clone());
        let mut section = Vec::new();
        page.render_description_section(&mut section)?;
        page.render_synopsis_section(&mut section)?;
        if command.get_arguments().any(|a| !a.is_hide_set() && !a.is_global_set()) {
            page.render_options_section(&mut section)?;
        }
        // What is a page's section there is a part of this command's here.
        text.extend_from_slice(
            String::from_utf8_lossy(&section).replace("\n.SH ", "\n.SS ").replace(".SH ", ".SS ").as_bytes(),
        );
        subcommands(command, text)?;
    }
    Ok(())
}
