use tokio_postgres::config::{ChannelBinding, Host, SslMode};

use super::*;

fn server(url: &str) -> PostgresServer {
    match url.parse() {
        Ok(DatabaseUrl::Postgres(server)) => *server,
        other => panic!("{url}: {other:?}"),
    }
}

fn problem(url: &str) -> String {
    url.parse::<DatabaseUrl>().unwrap_err().problem.into_owned()
}

#[test]
fn two_slashes_are_a_relative_path_and_three_an_absolute_one() {
    for (url, path, create) in [
        ("sqlite://data/todo.db?mode=rwc", "data/todo.db", true),
        ("sqlite:///var/lib/todo.db", "/var/lib/todo.db", false),
        ("sqlite:todo.db?mode=rw", "todo.db", false),
        ("SQLite://my data/100%.db?mode=rwc&", "my data/100%.db", true),
        ("sqlite://./todo.db?", "./todo.db", false),
        ("sqlite:////var/lib/todo.db", "//var/lib/todo.db", false),
    ] {
        let file = SqliteFile { path: path.into(), create };
        assert_eq!(url.parse(), Ok(DatabaseUrl::Sqlite(file)), "{url}");
    }
}

#[test]
fn the_default_database_matches_its_url() {
    assert_eq!(DatabaseUrl::EMBEDDED.parse(), Ok(DatabaseUrl::embedded()));
}

#[test]
fn tls_is_on_and_verifies_unless_the_url_turns_it_off() {
    let on =
        |verify_host, authorities: Option<&str>| Tls::On { verify_host, authorities: authorities.map(PathBuf::from) };
    for (query, tls) in [
        ("", on(true, None)),
        ("?sslmode=require&channel_binding=require", on(true, None)),
        ("?sslmode=verify-full", on(true, None)),
        ("?sslmode=verify-ca&sslrootcert=/etc/ca%20s/a+b.pem", on(false, Some("/etc/ca s/a+b.pem"))),
        ("?sslmode=disable", Tls::Off),
    ] {
        let url = format!("postgresql://alice:PASSWORD@db.example:5433/todo{query}");
        let Ok(DatabaseUrl::Postgres(server)) = url.parse() else { panic!("{url}") };
        assert_eq!(server.tls, tls, "{url}");
        let host = &server.hosts[0];
        assert_eq!((host.get_ports(), host.get_dbname()), (&[5433][..], Some("todo")));
        assert!(!format!("{server:?}").contains("PASSWORD"));
    }
}

#[test]
fn each_host_of_a_url_keeps_everything_else() {
    let url = "postgresql://alice:PASSWORD@a:5433,b/todo?options=-csearch_path%3Dx&connect_timeout=7&sslmode=disable";
    let Ok(DatabaseUrl::Postgres(server)) = url.parse() else { panic!("{url}") };
    assert_eq!(server.connect_timeout, Duration::from_secs(7));
    let Ok(DatabaseUrl::Postgres(lone)) = url.replace(",b", "").parse() else { panic!("{url}") };
    assert_eq!(server.hosts[0], lone.hosts[0]);
    let [first, second] = &server.hosts[..] else { panic!("{server:?}") };
    let mut expected = first.clone();
    assert_eq!((first.get_password(), first.get_options()), (Some(&b"PASSWORD"[..]), Some("-csearch_path=x")));
    assert_eq!((second.get_hosts(), second.get_ports()), (&[Host::Tcp("b".to_owned())][..], &[5432][..]));
    expected.hostaddr([127, 0, 0, 1].into());
    assert_ne!(&expected, first);
}

#[test]
fn connections_are_read_write_unless_the_url_says_any() {
    for (query, target) in [
        ("", TargetSessionAttrs::ReadWrite),
        ("?target_session_attrs=read-write", TargetSessionAttrs::ReadWrite),
        ("?target_session_attrs=primary", TargetSessionAttrs::ReadWrite),
        ("?target_session_attrs=any", TargetSessionAttrs::Any),
    ] {
        let Ok(DatabaseUrl::Postgres(server)) = format!("postgresql://a,b/todo{query}").parse() else {
            panic!("{query}")
        };
        assert!(server.hosts.iter().all(|host| host.get_target_session_attrs() == target), "{query}");
    }
}

#[test]
fn urls_that_providers_and_drivers_hand_out_are_taken() {
    for (url, user, password, host, port, database) in [
        ("postgres://u:p@ec2-1.compute.amazonaws.com:5432/d1", "u", "p", "ec2-1.compute.amazonaws.com", 5432, "d1"),
        ("POSTGRES://u:p@h/d", "u", "p", "h", 5432, "d"),
        ("PostgreSQL://u:p@h/d", "u", "p", "h", 5432, "d"),
        (
            "postgresql://neondb_owner:npg_x@ep-a-b-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require&channel_binding=require",
            "neondb_owner",
            "npg_x",
            "ep-a-b-pooler.eu-central-1.aws.neon.tech",
            5432,
            "neondb",
        ),
        (
            "postgres://postgres.abcd:p@aws-0-eu.pooler.supabase.com:6543/postgres?sslmode=require&supa=base-pooler.x&pgbouncer=true&connection_limit=1",
            "postgres.abcd",
            "p",
            "aws-0-eu.pooler.supabase.com",
            6543,
            "postgres",
        ),
        (
            "postgresql://postgres:p@containers-us-west-1.railway.app:7000/railway?",
            "postgres",
            "p",
            "containers-us-west-1.railway.app",
            7000,
            "railway",
        ),
        (
            "postgresql://johndoe:randompassword@localhost:5432/mydb?schema=public&pool_timeout=0&statement_cache_size=0&",
            "johndoe",
            "randompassword",
            "localhost",
            5432,
            "mydb",
        ),
        ("postgresql://a%40b:%40%2F%3F%23%25%3A%20ü@h/d%2Fe?", "a@b", "@/?#%: ü", "h", 5432, "d/e"),
        ("postgresql://u:p:q[&=;,@h", "u", "p:q[&=;,", "h", 5432, ""),
        ("postgresql://u@[2001:db8::1]/d", "u", "", "2001:db8::1", 5432, "d"),
        ("postgresql://u@[::1]:5433/d", "u", "", "::1", 5433, "d"),
        ("postgresql://?host=h&port=7&user=u&password=p%26q&dbname=d", "u", "p&q", "h", 7, "d"),
        ("postgresql://x:y@z/v?host=h&port=7&user=u&password=p&dbname=d", "u", "p", "h", 7, "d"),
    ] {
        let one = &server(url).hosts[0];
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let found = text(one.get_password().map(|password| std::str::from_utf8(password).unwrap()));
        assert_eq!(
            (text(one.get_user()), found, text(one.get_dbname())),
            (user.into(), password.into(), database.into()),
            "{url}"
        );
        assert_eq!((one.get_hosts(), one.get_ports()), (&[Host::Tcp(host.to_owned())][..], &[port][..]), "{url}");
    }
}

#[test]
fn a_socket_of_this_machine_has_no_tls() {
    for url in [
        "postgresql:///d?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/d",
        "postgresql://u@%2Fvar%2Frun%2Fpostgresql/d?sslmode=require",
    ] {
        let one = &server(url).hosts[0];
        assert_eq!(one.get_hosts(), [Host::Unix("/var/run/postgresql".into())], "{url}");
        assert_eq!((one.get_ssl_mode(), one.get_dbname()), (SslMode::Disable, Some("d")), "{url}");
    }
    let both = server("postgresql:///d?host=/run,b&port=1,");
    let modes: Vec<_> = both.hosts.iter().map(|one| (one.get_ssl_mode(), one.get_ports()[0])).collect();
    assert_eq!(modes, [(SslMode::Disable, 1), (SslMode::Require, 5432)]);
}

#[test]
fn a_parameter_has_its_effect_or_none() {
    let host = |query: &str| server(&format!("postgresql://u@h/d?{query}")).hosts[0].clone();
    for (query, options) in [
        ("schema=app", Some("-csearch_path=\"app\"")),
        ("schema=public", None),
        ("schema=a%20%22b%22%5C", Some("-csearch_path=\"a\\ \"\"b\"\"\\\\\"")),
        ("options=endpoint%3Dep-a-b&schema=app", Some("endpoint=ep-a-b -csearch_path=\"app\"")),
        ("options=-c%20work_mem%3D8MB", Some("-c work_mem=8MB")),
        ("options=project%3Dep-a-b", Some("project=ep-a-b")),
        ("options=", None),
    ] {
        assert_eq!(host(query).get_options(), options, "{query}");
    }
    for (query, name) in [
        ("", "todo-api"),
        ("application_name=tasks%20api", "tasks api"),
        ("fallback_application_name=x", "x"),
        ("fallback_application_name=x&application_name=y", "y"),
    ] {
        assert_eq!(host(query).get_application_name(), Some(name), "{query}");
    }
    for (query, seconds) in [
        ("", 2),
        ("connect_timeout=", 2),
        ("connect_timeout=7", 7),
        ("connect_timeout=0", 3600),
        ("connect_timeout=18446744073709551615", 3600),
    ] {
        assert_eq!(server(&format!("postgresql://h?{query}")).connect_timeout, Duration::from_secs(seconds), "{query}");
    }
    for (query, binding) in [
        ("", ChannelBinding::Prefer),
        ("channel_binding=disable", ChannelBinding::Disable),
        ("channel_binding=require", ChannelBinding::Require),
    ] {
        assert_eq!(host(query).get_channel_binding(), binding, "{query}");
    }
    let kept = host("keepalives=0&keepalives_idle=7&keepalives_interval=8&keepalives_count=9&tcp_user_timeout=5000");
    assert_eq!((kept.get_keepalives(), kept.get_keepalives_idle()), (false, Duration::from_secs(7)));
    assert_eq!(
        (kept.get_keepalives_interval(), kept.get_keepalives_retries()),
        (Some(Duration::from_secs(8)), Some(9))
    );
    assert_eq!(kept.get_tcp_user_timeout(), Some(&Duration::from_secs(5)));
    assert_eq!(host("keepalives=1&keepalives_idle=0&tcp_user_timeout=0"), host(""));
    for harmless in [
        "&&",
        "connection_limit=5&pool_timeout=10&pgbouncer=true&statement_cache_size=0&socket_timeout=9",
        "supa=base-pooler.x&workaround=supabase-pooler.vercel&uselibpqcompat=true",
        "gssencmode=disable&load_balance_hosts=disable&sslnegotiation=postgres&sslcompression=0&sslsni=1",
        "gssencmode=prefer&requiressl=1&ssl=true&sslaccept=strict&ssl_min_protocol_version=TLSv1.2",
        "client_encoding=UTF8&TimeZone=UTC&sslrootcert=system&sslmode=verify-full",
        "sslcert=&sslkey=&sslpassword=&passfile=&service=",
    ] {
        assert_eq!(host(harmless), host(""), "{harmless}");
    }
}

#[test]
fn an_unsupported_parameter_is_rejected_by_its_name_without_its_value() {
    for (query, name) in [
        ("sslmode=prefer", "sslmode"),
        ("sslmode=allow", "sslmode"),
        ("sslmode=no-verify", "sslmode"),
        ("sslmode=PASSWORD", "sslmode"),
        ("sslmode=disable&sslrootcert=PASSWORD", "sslrootcert"),
        ("sslmode=verify-ca&sslrootcert=system", "sslrootcert=system"),
        ("sslmode=disable&channel_binding=require", "channel_binding"),
        ("channel_binding=PASSWORD", "channel_binding"),
        ("connect_timeout=PASSWORD", "connect_timeout"),
        ("connect_timeout=-1", "connect_timeout"),
        ("tcp_user_timeout=PASSWORD", "tcp_user_timeout"),
        ("keepalives=PASSWORD", "keepalives"),
        ("keepalives_idle=PASSWORD", "keepalives_idle"),
        ("target_session_attrs=read-only", "target_session_attrs"),
        ("target_session_attrs=prefer-standby", "target_session_attrs"),
        ("port=PASSWORD", "port"),
        ("hostaddr=PASSWORD", "hostaddr"),
        ("host=a,b&hostaddr=127.0.0.1", "hostaddr"),
        ("schema=a&options=-csearch_path%3DPASSWORD", "schema"),
        ("sslmode=require&sslmode=disable", "sslmode twice"),
        ("user=a&user=PASSWORD", "user twice"),
        ("application_name=%FF", "application_name"),
        ("load_balance_hosts=random", "load_balance_hosts"),
        ("gssencmode=require", "gssencmode"),
        ("sslnegotiation=direct", "sslnegotiation"),
        ("ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version"),
        ("client_encoding=LATIN1", "client_encoding"),
        ("ssl=false", "ssl"),
        ("requiressl=0", "requiressl"),
        ("sslaccept=accept_invalid_certs", "sslaccept"),
        ("sslcert=PASSWORD", "sslcert"),
        ("sslkey=PASSWORD", "sslkey"),
        ("sslpassword=PASSWORD", "sslpassword"),
        ("sslcrl=PASSWORD", "sslcrl"),
        ("passfile=PASSWORD", "passfile"),
        ("service=PASSWORD", "service"),
        ("search_path=PASSWORD", "search_path"),
        ("currentSchema=PASSWORD", "currentSchema"),
        ("endpoint=PASSWORD", "endpoint"),
        ("project=PASSWORD", "project"),
        ("statement_timeout=PASSWORD", "statement_timeout"),
        ("replication=PASSWORD", "replication"),
        ("no_such_parameter=PASSWORD", "no_such_parameter"),
    ] {
        let problem = problem(&format!("postgresql://u:PASSWORD@h/d?{query}"));
        assert!(problem.contains(name), "{query}: {problem}");
        assert!(!problem.contains("PASSWORD"), "{query}: {problem}");
    }
}

#[test]
fn no_part_of_a_password_passes_for_anything_else() {
    for password in [
        "PASSWORD@SECRET",
        "PASSWORD/SECRET",
        "1/SECRET",
        "1/SECRET?PASSWORD=1&x",
        "PASSWORD?SECRET",
        "1?SECRET=PASSWORD",
        "PASSWORD#SECRET",
        "#SECRET",
        "PASSWORD SECRET",
        "PASSWORD%SECRET",
        "PASSWORD%",
        "PASSWORD%0",
        "PASSWORD\nSECRET",
        "%00SECRET",
        "PASSWORD@SECRET:1/",
        "@",
        "/",
        "PASSWORD@SECRET,SECRET:5432",
    ] {
        for url in [
            format!("postgresql://u:{password}@h/d"),
            format!("postgres://u:{password}@h:5432/d?sslmode=disable&connect_timeout=3"),
        ] {
            let problem = problem(&url);
            assert!(problem.contains("percent-encode") || problem.contains("%00"), "{url}: {problem}");
            assert!(!problem.contains("PASSWORD") && !problem.contains("SECRET"), "{url}: {problem}");
        }
    }
    for url in [
        "postgresql://u%3APASSWORD@h/d",
        "postgresql://u:PASSWORD",
        "postgresql://h/d?password=a&PASSWORD=b",
        "postgresql://h/d?password=a&PASSWORD",
        "postgresql://h/d?PASSWORD@x",
        "postgresql://h/d?PASSWORD1",
        "postgresql://u:p@h/d?sslmode=require&PASSWORD1",
        "postgresql://PASSWORD:PASSWORD:1@h@h",
        "postgresql://u:p@PASSWORD$/d",
        "postgresql://u:p@h:PASSWORD/d",
        "postgresql://u:p@[PASSWORD]/d",
        "postgresql:u:PASSWORD@h",
        "PASSWORD:PASSWORD@h",
    ] {
        assert!(!problem(url).contains("PASSWORD"), "{url}");
    }
}

#[test]
fn a_url_without_a_durable_database_is_rejected_with_an_example_of_its_kind() {
    for (url, says) in [
        ("", "must start with"),
        ("todo.db", "must start with"),
        ("mysql://u:PASSWORD@h/d", "must start with"),
        ("file:todo.db", "sqlite:// instead of file:"),
        ("sqlite+aiosqlite:///todo.db", "write sqlite://"),
        ("sqlite:///./data/todo.db", "sqlite://data/todo.db"),
        ("sqlite://data/", "folder"),
        ("sqlite://my%20data/todo.db", "as it is on the disk"),
        ("sqlite://", "names no file"),
        ("sqlite::memory:", "in memory"),
        ("sqlite://:memory:", "in memory"),
        ("sqlite://a.db?mode=ro", "mode=rwc"),
        ("sqlite://a.db?check_same_thread=false", "mode=rwc"),
        ("postgresql://", "names no host"),
        ("postgresql:///d?sslmode=require", "names no host"),
        ("postgresql:///d?hostaddr=127.0.0.1", "hostaddr without host"),
        ("postgresql:d", "//"),
        ("postgresql+asyncpg://u:PASSWORD@h/d", "write postgresql://"),
        ("postgresql+psycopg://u:PASSWORD@h/d", "write postgresql://"),
        ("jdbc:postgresql://h/d?user=u&password=PASSWORD", "leave out jdbc:"),
        ("prisma+postgres://accelerate.prisma-data.net/?api_key=PASSWORD", "Prisma"),
        ("postgresql://u:PASSWORD@h:port/d", "port"),
        ("postgresql://u:PASSWORD@h:0/d", "port"),
        ("postgresql://u:PASSWORD@h:65536/d", "port"),
        ("postgresql://u:PASSWORD@a,,b/d", "host"),
        ("postgresql://u:PASSWORD@a:1,b:2,c/d?port=1,2", "port"),
        ("postgresql://u:PASSWORD@h%FF/d", "UTF-8"),
        ("postgresql://u:PASSWORD@fe80::1:2/d", "in brackets"),
        ("postgresql://u:PASSWORD@h/d?=x", "has parameter number 1, which"),
        ("psql 'postgresql://u:PASSWORD@h/d'", "without a command"),
        ("DATABASE_URL=postgresql://u:PASSWORD@h/d", "without a command"),
        ("'postgresql://u:PASSWORD@h/d';", "without a command"),
        ("postgress://u:PASSWORD@h/d", "must start with postgresql://"),
        ("sqlite://file:todo.db?mode=rwc", "file:"),
        ("mysql://u:PASSWORD@h/d", "sqlite:// or postgresql://"),
        ("sqlite:file:todo.db", "file:"),
        ("sqlite://u:PASSWORD@h/d", "a user and a password"),
    ] {
        let InvalidUrl { problem, example } = url.parse::<DatabaseUrl>().unwrap_err();
        assert!(problem.contains(says) && !problem.contains("PASSWORD"), "{url}: {problem}");
        let server = url.contains("postgres");
        assert_eq!(example.starts_with("postgresql://"), server, "{url}: {example}");
        assert!(example.parse::<DatabaseUrl>().is_ok(), "{example}");
    }
}
