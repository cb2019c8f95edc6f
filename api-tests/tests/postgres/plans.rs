use api_tests::{Database, Server};
use postgres::types::Type;
use serde_json::Value;

#[test]
fn every_page_is_read_from_an_index_without_sorting() {
    let server = Server::with(Database::Postgres, &[("RUST_LOG", "info,todo_api=debug")]);
    let statements = crate::suite::pages::statements(&server);
    let mut database = server.postgres();
    // With enough rows to make an index useful.
    database
        .batch_execute(
            "INSERT INTO users SELECT n::text, now() FROM generate_series(1, 10) n;
             INSERT INTO tasks (user_id, id, title, title_key, completed, due_date, priority, version, created_at,
                 updated_at)
                 SELECT (n % 10 + 1)::text, gen_random_uuid(), n::text, n::text, n % 2 = 0,
                 CASE WHEN n % 3 > 0 THEN now() END, greatest(n % 7 - 3, 0), 1, now(), now()
                 FROM generate_series(1, 100000) n;
             ANALYZE",
        )
        .unwrap();
    for sql in statements {
        let middle = |kind: &Type| match *kind {
            Type::BOOL => "true",
            Type::INT8 => "101",
            Type::INT4 => "2",
            Type::TEXT | Type::VARCHAR => "'5'",
            Type::TIMESTAMPTZ => "now()",
            Type::UUID => "'80000000-0000-4000-8000-000000000000'",
            _ => panic!("a parameter of type {kind}"),
        };
        let values: Vec<_> = database.prepare(&sql).unwrap().params().iter().map(middle).collect();
        database.batch_execute(&format!("PREPARE page AS {sql}")).unwrap();
        let row = database.query_one(&format!("EXPLAIN (FORMAT JSON) EXECUTE page ({})", values.join(", ")), &[]);
        let text = row.map(|row| row.get::<_, Value>(0));
        database.batch_execute("DEALLOCATE page").unwrap();
        let plan = text.unwrap()[0]["Plan"].clone();
        let mut nodes = Vec::new();
        flatten(&plan, &mut nodes);
        let kinds: Vec<&str> = nodes.iter().map(|node| node["Node Type"].as_str().unwrap()).collect();
        let fills = sql.starts_with("WITH");
        if fills {
            // First the tasks of one kind. If they leave room, then those of the other: this is decided once, before they
            // are read.
            let parts: Vec<&str> = ["Append", "CTE Scan", "Result", "Aggregate", "CTE Scan"].to_vec();
            let others: Vec<&str> = kinds.iter().copied().filter(|kind| !STRETCH.contains(kind)).collect();
            assert_eq!(others, parts, "{sql}: {plan:#}");
            let last = nodes.iter().find(|node| node["Node Type"] == "Result").unwrap();
            assert!(last["One-Time Filter"].is_string(), "{sql}: {plan:#}");
        } else if sql.contains("UNION ALL") {
            let ranges = sql.matches("FROM \"tasks\"").count();
            let merged = ["Limit", "Merge Append"].into_iter().chain(["Limit", "Index Scan"].repeat(ranges));
            assert_eq!(kinds, merged.collect::<Vec<_>>(), "{sql}: {plan:#}");
        } else {
            assert_eq!(kinds, ["Limit", "Index Scan"], "{sql}: {plan:#}");
        }
        let scans: Vec<&Value> = nodes.iter().filter(|node| node["Node Type"] == "Index Scan").collect();
        let ranges: Vec<&str> = sql.split("FROM \"tasks\"").skip(1).collect();
        assert_eq!(scans.len(), ranges.len(), "{sql}: {plan:#}");
        for (scan, range) in scans.into_iter().zip(ranges) {
            let condition = scan["Index Cond"].as_str().unwrap_or_default();
            assert!(condition.contains("user_id = "), "{sql}: {plan:#}");
            assert!(scan.get("Filter").is_none(), "{sql}: {plan:#}");
            // The index itself seeks to the position.
            let skips = ["> (", "< (", "\"id\" > ", "\"id\" < "].iter().any(|position| range.contains(position));
            assert_eq!(
                condition.contains("id > ") || condition.contains("id < ") || condition.contains("ROW("),
                skips,
                "{sql}: {plan:#}"
            );
        }
    }
}

/// The plan nodes of one range of an index, or of several merged ones.
const STRETCH: [&str; 3] = ["Limit", "Merge Append", "Index Scan"];

fn flatten(plan: &Value, nodes: &mut Vec<Value>) {
    nodes.push(plan.clone());
    for child in plan["Plans"].as_array().into_iter().flatten() {
        flatten(child, nodes);
    }
}
