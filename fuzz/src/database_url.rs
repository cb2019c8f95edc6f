//! `DATABASE_URL`.

use todo_api::db::DatabaseUrl;
use tokio_postgres::{Config, config::Host};

/// The password of all URLs in the corpus.
const PASSWORD: &str = "hunter2";

/// No error and no `Debug` has a password, and tokio-postgres reads an accepted URL in the same way.
pub fn check(input: &[u8]) {
    let Ok(url) = str::from_utf8(input) else { return };
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    match url.parse::<DatabaseUrl>() {
        // An error has the name of an unknown parameter, unless it may be a part of a password.
        Err(_) if !query.contains('@') && parameters.any(|(name, _)| name.contains(PASSWORD)) => {}
        Err(error) => assert!(!format!("{error:?}").contains(PASSWORD), "{error:?}"),
        Ok(DatabaseUrl::Sqlite(file)) => assert!(url.contains(file.path.to_str().unwrap())),
        Ok(DatabaseUrl::Postgres(server)) => {
            let (login, rest) = url.rsplit_once('@').unwrap_or(("", url));
            let secret = login.contains(PASSWORD) && !rest.contains(PASSWORD);
            assert!(!secret || !format!("{server:?}").contains(PASSWORD), "{server:?}");
            // It knows fewer parameters, takes empty ones, and adds the host and the port of one to those before.
            if let Ok(theirs) = url.parse()
                && !parameters.any(|(name, value)| value.is_empty() || ["host", "hostaddr", "port"].contains(&&*name))
            {
                compare(&server.hosts, &theirs);
            }
        }
    }
}

/// Compares the configuration of each host with that of all hosts.
fn compare(ours: &[Config], theirs: &Config) {
    for own in ours {
        // Only theirs keeps empty ones.
        assert_eq!(own.get_user(), theirs.get_user().filter(|user| !user.is_empty()));
        assert_eq!(own.get_password(), theirs.get_password().filter(|password| !password.is_empty()));
        assert_eq!(own.get_dbname(), theirs.get_dbname().filter(|name| !name.is_empty()));
    }
    let plain = |host: &Host| match host {
        // Only ours takes the brackets off.
        Host::Tcp(name) => Host::Tcp(name.trim_matches(['[', ']']).to_owned()),
        Host::Unix(folder) => Host::Unix(folder.clone()),
    };
    let hosts: Vec<_> = ours.iter().flat_map(Config::get_hosts).map(plain).collect();
    assert_eq!(hosts, theirs.get_hosts().iter().map(plain).collect::<Vec<_>>());
    let addresses: Vec<_> = ours.iter().flat_map(Config::get_hostaddrs).collect();
    assert_eq!(addresses, theirs.get_hostaddrs().iter().collect::<Vec<_>>());
    let ports = theirs.get_ports();
    for (n, own) in ours.iter().enumerate() {
        let port = ports.get(n).or(ports.first()).copied().unwrap_or(5432);
        assert_eq!(own.get_ports(), [port]);
    }
}
