//! The changes of one user may delay each other, but no other user.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use api_tests::{Answer, Client, Cluster, Server, token};
use serde_json::json;

use super::load::{AT_MOST, Outcome, SOON, path, wait_until, while_working};

/// Maximum number of changes of one user in the database: a quarter of the sixteen connections for changes.
const OF_ONE_USER: usize = 4;

fn put(client: &Client, path: &str, title: &str) -> Answer {
    client.put(path, &json!({ "title": title }))
}

/// Reads one answer from a connection that stays open, and returns its status. Does not check more, because checks would
/// take processor time from the server.
fn next_status(stream: &mut BufReader<TcpStream>) -> u16 {
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let start = head.len();
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the connection has ended: {head}");
        if let Some(value) = head[start..].strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    stream.read_exact(&mut vec![0; length]).unwrap();
    let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
    assert!([200, 503].contains(&status), "{head}");
    status
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_thousand_connections_on_one_row_do_not_delay_other_users() {
    const THREADS: usize = 8;
    let server = Server::on(Cluster::shared().database(), &[]);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let (hammered, quiet) = (path(&alice.create("hammered")), path(&bob.create("quiet")));
    // The medians of Bob's changes and of his reads, in turns: they share the processors, but no row delays a read.
    let beside = || {
        let time = |request: &dyn Fn() -> Answer| {
            let started = Instant::now();
            let answer = request();
            assert_eq!(answer.status, 200, "{answer:?}");
            started.elapsed()
        };
        let both = |n: usize| (time(&|| put(&bob, &quiet, &n.to_string())), time(&|| bob.get(&quiet)));
        let (changes, reads): (Vec<_>, Vec<_>) = (0..100).map(both).unzip();
        (median(&changes), median(&reads))
    };
    let (alone, _) = beside();

    let body = json!({ "title": "x" }).to_string();
    let request = format!(
        "PUT {hammered} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        token("alice"),
        body.len()
    );
    let connect = |_| (BufReader::new(TcpStream::connect(server.address()).unwrap()), None::<Instant>);
    let streams: Vec<Mutex<Vec<_>>> =
        (0..THREADS).map(|_| Mutex::new((0..1000 / THREADS).map(connect).collect())).collect();
    let answers = Mutex::new(Vec::new());
    // Each connection sends its next request after its answer, so each has one in flight at a time.
    let hammer = |worker: usize, n: usize| {
        let mut streams = streams[worker].lock().unwrap();
        let next = n % streams.len();
        let (stream, sent) = &mut streams[next];
        if let Some(sent) = sent.take() {
            let status = next_status(stream);
            answers.lock().unwrap().push((status, sent.elapsed()));
        }
        stream.get_mut().write_all(request.as_bytes()).unwrap();
        *sent = Some(Instant::now());
    };
    let bobs = while_working(THREADS, hammer, || {
        let answered = || answers.lock().unwrap().len();
        wait_until("the row is hammered", || answered() >= 1000);
        let times = beside();
        let before = answered();
        wait_until("the row is still hammered", || answered() > before);
        times
    });
    let answers = answers.into_inner().unwrap();
    let alices = median(&answers.iter().map(|(_, took)| *took).collect::<Vec<_>>());
    let (bobs, reads) = bobs;
    println!("bob alone {alone:?}, beside {bobs:?} and reading {reads:?}, alice {alices:?}");
    assert!(answers.iter().any(|(status, _)| *status == 200), "alice gets on, too");
    assert!(bobs < alices / 4, "bob waits {bobs:?} where alice waits {alices:?}");
    // On a busy machine a read waits for a processor as well.
    let bound = Duration::from_millis(50).max(alone * 10).max(reads * 3);
    assert!(bobs < bound, "bob waits {bobs:?}, alone {alone:?}, and for a read {reads:?}");
}

/// Locks this many of alice's rows, while 24 callers change them, and collects their answers.
fn change_locked_rows(rows: usize) {
    const CALLERS: usize = 24;
    let server = Server::on(Cluster::shared().database(), &[]);
    let (alice, bob) = (server.user("alice"), server.user("bob"));
    let locked: Vec<String> = (0..rows).map(|_| path(&alice.create("locked"))).collect();
    let free = path(&bob.create("free"));
    let mut other = server.postgres();
    let mut lock = other.transaction().unwrap();
    lock.execute("SELECT FROM tasks WHERE title = 'locked' FOR UPDATE", &[]).unwrap();
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let call = |n: usize| {
            let (alice, path) = (&alice, &locked[n % rows]);
            scope.spawn(move || {
                let started = Instant::now();
                let outcome = Outcome::of(&put(alice, path, &n.to_string()));
                assert!(started.elapsed() <= AT_MOST, "an answer took {:?}", started.elapsed());
                outcome
            })
        };
        let calls: Vec<_> = (0..CALLERS).map(call).collect();
        for n in 0..60 {
            let answer = put(&bob, &free, &n.to_string());
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(alice.get(&locked[0]).status, 200, "reads go on");
        }
        calls.into_iter().map(|call| call.join().unwrap()).collect()
    });
    let count = |outcome| outcomes.iter().filter(|other| **other == outcome).count();
    assert_eq!(count(Outcome::Done), 0);
    let unknown = count(Outcome::Unknown);
    assert!((1..=OF_ONE_USER).contains(&unknown), "{unknown} are unknown");
    // While these are in the database, no other change gets there.
    assert_eq!(Outcome::of(&put(&alice, &locked[0], "late")), Outcome::Unchanged);

    lock.rollback().unwrap();
    let took = wait_until("alice's changes work", || put(&alice, &locked[0], "after").status == 200);
    assert!(took < SOON, "after {took:?}");
    // The unknown changes are made, and the rejected ones are not.
    let made = || server.sql("SELECT sum(version - 1)::int8 FROM tasks WHERE user_id = 'alice'");
    let expected = i64::try_from(unknown + 1).unwrap();
    wait_until("all of them are made", || made() >= expected);
    for path in &locked {
        assert_eq!(put(&alice, path, "last").status, 200);
    }
    assert_eq!(made(), expected + i64::try_from(rows).unwrap());
}

#[test]
fn while_a_row_is_locked_few_changes_are_unknown_the_rest_is_rejected_and_no_other_user_waits() {
    change_locked_rows(1);
}

#[test]
fn while_all_rows_of_a_user_are_locked_few_changes_are_unknown_the_rest_is_rejected_and_no_other_user_waits() {
    change_locked_rows(24);
}
