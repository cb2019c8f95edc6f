use std::{fs, path::Path, sync::LazyLock};

use api_tests::{Cluster, Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A cluster that requires TLS and a password for the user `app`, and its certificate authority.
struct Secure {
    cluster: Cluster,
    files: TempDir,
}

impl Secure {
    fn shared() -> &'static Self {
        static SECURE: LazyLock<Secure> = LazyLock::new(Secure::start);
        &SECURE
    }

    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let data = files.path().join("data");
        fs::create_dir(&data).unwrap();
        let authority = authority("the right one");
        fs::write(files.path().join("right.pem"), authority.pem()).unwrap();
        fs::write(files.path().join("unknown.pem"), self::authority("another one").pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        fs::write(data.join("server.crt"), certificate.pem()).unwrap();
        fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
        let access = "hostnossl all postgres 127.0.0.1/32 trust\n\
                      hostssl all app 127.0.0.1/32 scram-sha-256\n\
                      hostssl all old 127.0.0.1/32 password\n";
        fs::write(data.join("pg_hba.conf"), access).unwrap();
        let cluster = Cluster::with_files(&data, &["ssl=on"]);
        cluster.sql("CREATE ROLE app LOGIN PASSWORD 's3cret'; CREATE ROLE old LOGIN PASSWORD 's3cret'");
        Self { cluster, files }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// The URL of a new database of the user, as providers write it: with TLS and channel binding.
    fn url(&self, user: &str, password: &str, host: &str, parameters: &str) -> (api_tests::PostgresDatabase, String) {
        let database = self.cluster.database_with(&format!("OWNER {user}"));
        let url =
            format!("postgresql://{user}:{password}@{host}:{}/{}?{parameters}", self.cluster.port(), database.name());
        (database, url)
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn a_server_with_a_certificate_of_the_authority_is_accepted() {
    let secure = Secure::shared();
    let right = secure.file("right.pem");
    for (host, parameters) in [
        ("localhost", format!("sslmode=require&channel_binding=require&sslrootcert={right}")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={right}")),
        ("localhost", format!("sslrootcert={right}")),
        ("127.0.0.1", format!("sslmode=verify-ca&channel_binding=require&sslrootcert={right}")),
    ] {
        let (_database, url) = secure.url("app", "s3cret", host, &parameters);
        let server = Server::at(&url, &[]);
        super::load::wait_until_ready(&server);
        let alice = server.user("alice");
        let task = alice.create("over TLS");
        assert_eq!(alice.list(""), [task], "{parameters}");
        assert_eq!(alice.get("/ready").status, 200);
    }
}

#[test]
fn a_server_that_breaks_the_rules_of_the_url_is_rejected_with_the_reason() {
    let secure = Secure::shared();
    let (right, unknown) = (secure.file("right.pem"), secure.file("unknown.pem"));
    assert!(Path::new(&unknown).exists());
    let bound = "sslmode=require&channel_binding=require";
    for (user, password, host, parameters, reason) in [
        ("app", "s3cret", "localhost", format!("{bound}&sslrootcert={unknown}"), "UnknownIssuer"),
        ("app", "s3cret", "localhost", bound.to_owned(), "UnknownIssuer"),
        ("app", "s3cret", "localhost", format!("sslmode=verify-ca&sslrootcert={unknown}"), "UnknownIssuer"),
        ("app", "s3cret", "127.0.0.1", format!("{bound}&sslrootcert={right}"), "not valid for name"),
        ("app", "s3cret", "127.0.0.1", format!("sslmode=verify-full&sslrootcert={right}"), "not valid for name"),
        ("app", "wr0ng", "localhost", format!("{bound}&sslrootcert={right}"), "password authentication failed"),
        ("old", "s3cret", "localhost", format!("{bound}&sslrootcert={right}"), "channel binding"),
        ("app", "s3cret", "localhost", "sslmode=disable".to_owned(), "no pg_hba.conf entry"),
        ("app", "s3cret", "localhost", format!("{bound}&sslrootcert=/nowhere.pem"), "/nowhere.pem"),
        (
            "app",
            "s3cret",
            "localhost",
            format!("{bound}&sslrootcert={}", secure.file("data/pg_hba.conf")),
            "contains no certificate",
        ),
    ] {
        let (_database, url) = secure.url(user, password, host, &parameters);
        let refusal = Server::refusal(&url);
        assert!(
            refusal.starts_with("todo-api: refused: ") && refusal.contains(reason),
            "{user} {host} {parameters}: {refusal}"
        );
        assert!(!refusal.contains(password), "{refusal}");
    }
}

#[test]
fn a_server_without_tls_is_rejected_unless_the_url_disables_tls() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    let url = database.url().replace("sslmode=disable", "sslmode=require");
    let refusal = Server::refusal(&url);
    assert!(refusal.contains("server does not support TLS"), "{refusal}");
    let without = database.url().split('?').next().unwrap();
    assert!(Server::refusal(without).contains("server does not support TLS"));
    drop(Server::at(database.url(), &[]));
}

#[test]
fn a_missing_database_is_rejected() {
    let refusal = Server::refusal(&Cluster::shared().url("nowhere"));
    assert!(refusal.contains("database \"nowhere\" does not exist"), "{refusal}");
}
