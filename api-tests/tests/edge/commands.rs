//! The guide's table of all commands.

use std::{fs, process::Command};

use api_tests::binary;

/// A command without subcommands: its names, and what its help says that it takes besides variables.
struct Leaf {
    path: String,
    takes: Vec<String>,
}

fn help(path: &[String]) -> String {
    let output = Command::new(binary()).args(path).arg("--help").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

fn leaves(path: &[String], found: &mut Vec<Leaf>) {
    let help = help(path);
    if let Some((_, list)) = help.split_once("\nCommands:\n") {
        let names = list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_whitespace().next());
        for name in names.filter(|name| *name != "help") {
            leaves(&[path, &[name.to_owned()]].concat(), found);
        }
        return;
    }
    let usage = help.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap();
    let required = usage.split(['<', '>']).skip(1).step_by(2).map(str::to_owned);
    // Each option, and whether it is a variable.
    let mut names: Vec<(String, bool)> = Vec::new();
    for line in help.lines().map(str::trim_start) {
        if let Some(option) = line.strip_prefix("--") {
            names.push((option.split(' ').next().unwrap().to_owned(), false));
        }
        if line.contains("[env: ") {
            names.last_mut().unwrap().1 = true;
        }
    }
    let own = names.into_iter().filter(|(_, is_variable)| !is_variable).map(|(name, _)| format!("--{name}"));
    found.push(Leaf { path: path.join(" "), takes: required.chain(own).collect() });
}

#[test]
fn the_guide_has_every_command_and_option_in_one_table() {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operation.md")).unwrap();
    let table = guide.split("| command | effect |").nth(1).unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| `todo-api "));
    let rows: Vec<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
    let mut all = Vec::new();
    leaves(&[], &mut all);
    assert!(all.len() > 8);
    let is_of = |row: &str, leaf: &Leaf| row == leaf.path || row.starts_with(&format!("{} ", leaf.path));
    for leaf in &all {
        let own: Vec<_> = rows.iter().filter(|row| is_of(row, leaf)).cloned().collect();
        assert!(!own.is_empty(), "the table has no command {}", leaf.path);
        for part in &leaf.takes {
            assert!(own.join(" ").contains(part), "the row of {} has no {part}", leaf.path);
        }
    }
    for row in rows {
        assert!(all.iter().any(|leaf| is_of(&row, leaf)), "the program has no command {row}");
    }
}
