//! Other commands of the program, in the place of a server.

use std::{
    io::{Seek, Write},
    process::{Child, Command, Output, Stdio},
};

use crate::{Server, Version, binary};

impl Server {
    /// Runs another command of the program to its end, in the server's folder and with its environment.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(arguments, &[])
    }

    /// As [`Server::command`], with further environment variables.
    pub fn command_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.output(Command::new(binary()).args(arguments), environment)
    }

    /// As [`Server::command`], with this text as its standard input.
    pub fn command_reading(&self, input: &[u8], arguments: &[&str]) -> Output {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input).unwrap();
        file.rewind().unwrap();
        self.output(Command::new(binary()).args(arguments).stdin(file), &[])
    }

    /// The standard output of a command that succeeds.
    pub fn printed(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that runs in the server's folder and with its environment, with pipes for its standard input and output.
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.folder()).env_clear().envs(self.place.environment.clone());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// As [`Server::command`], of another version of the program.
    pub fn command_of(&self, version: Version, arguments: &[&str]) -> Output {
        self.output(Command::new(version.program()).args(arguments), &[])
    }

    fn output(&self, command: &mut Command, environment: &[(&str, &str)]) -> Output {
        command.current_dir(self.folder()).env_clear().envs(self.place.environment.clone());
        command.envs(environment.iter().copied()).output().unwrap()
    }
}
