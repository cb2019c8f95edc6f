use api_tests::{Database, Server};
use rusqlite::{Connection, params_from_iter, types::Null};

/// How SQLite runs the statement, a step a line.
fn plan(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = params_from_iter(vec![Null; statement.parameter_count()]);
    statement.query_map(parameters, |row| row.get("detail")).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_page_is_read_off_an_index_without_sorting() {
    let server = Server::with(Database::Sqlite, &[("RUST_LOG", "info,todo_api=debug")]);
    let statements = crate::suite::pages::statements(&server);
    let database = server.sqlite();
    for sql in statements {
        let plan = plan(&database, &sql);
        let merged = sql.contains("UNION ALL");
        assert_eq!(plan[0] == "MERGE (UNION ALL)", merged, "{sql}: {plan:#?}");
        let searches = plan.iter().filter(|step| !["MERGE (UNION ALL)", "LEFT", "RIGHT"].contains(&step.as_str()));
        let searches: Vec<&String> = searches.collect();
        assert_eq!(searches.len(), 1 + usize::from(merged), "{sql}: {plan:#?}");
        for search in searches {
            assert!(search.starts_with("SEARCH tasks USING ") && search.contains("(user_id=?"), "{sql}: {plan:#?}");
            // Behind a position the index itself skips to it.
            let skips = sql.contains('>') || sql.contains('<');
            let position = ["id>?", "id<?", ",id)>(?,?)", ",id)<(?,?)"];
            assert_eq!(position.iter().any(|position| search.contains(position)), skips, "{sql}: {plan:#?}");
        }
    }
}
