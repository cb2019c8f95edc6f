use api_tests::{Database, Server};
use rusqlite::{Connection, params_from_iter, types::Null};

/// SQLite's plan of the statement, one step per line.
fn plan(database: &Connection, sql: &str) -> Vec<String> {
    let mut statement = database.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let parameters = params_from_iter(vec![Null; statement.parameter_count()]);
    statement.query_map(parameters, |row| row.get("detail")).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_page_is_read_from_an_index_without_sorting() {
    let server = Server::with(Database::Sqlite, &[("RUST_LOG", "info,todo_api=debug")]);
    let statements = crate::suite::pages::statements(&server);
    let database = server.sqlite();
    for sql in statements {
        let plan = plan(&database, &sql);
        let fills = sql.starts_with("WITH");
        let merged = sql.contains("UNION ALL") && !fills;
        assert_eq!(plan[0] == "MERGE (UNION ALL)", merged, "{sql}: {plan:#?}");
        let (searches, others): (Vec<&str>, Vec<&str>) =
            plan.iter().map(String::as_str).partition(|step| step.starts_with("SEARCH "));
        let shape = if fills { &FILL[..] } else { &[] };
        let merge = ["MERGE (UNION ALL)", "LEFT", "RIGHT"];
        assert!(others.iter().all(|step| merge.contains(step) || shape.contains(step)), "{sql}: {plan:#?}");
        let ranges: Vec<&str> = sql.split("FROM \"tasks\"").skip(1).collect();
        assert_eq!(searches.len(), ranges.len(), "{sql}: {plan:#?}");
        for (search, range) in searches.into_iter().zip(ranges) {
            // The index has the status, so no task of another status is skipped.
            let owner = if range.contains("\"completed\" = ") { "(user_id=? AND completed=?" } else { "(user_id=?" };
            assert!(search.starts_with("SEARCH tasks USING ") && search.contains(owner), "{sql}: {plan:#?}");
            // The index itself seeks to the position.
            let skips = ["> (", "< (", "\"id\" > ", "\"id\" < "].iter().any(|position| range.contains(position));
            let position = ["id>?", "id<?", ",id)>(?,?)", ",id)<(?,?)"];
            assert_eq!(position.iter().any(|position| search.contains(position)), skips, "{sql}: {plan:#?}");
        }
    }
}

/// The steps of a page that may have tasks of two kinds, except those that read the table.
const FILL: [&str; 9] = [
    "COMPOUND QUERY",
    "LEFT-MOST SUBQUERY",
    "MATERIALIZE first_rows",
    "SCAN first_rows",
    "UNION ALL",
    "CO-ROUTINE room",
    "MATERIALIZE then_rows",
    "SCAN room",
    "SCAN then_rows",
];
