//! Recognizes databases of other programs, before this one creates anything in them.

use sea_orm::DbBackend;

/// The tables of this program's first migrations.
const OWN: [&str; 3] = ["users", "tasks", "idempotency_keys"];

/// Tables of other programs and their libraries.
const MARKERS: [(&str, &str); 16] = [
    ("alembic_version", "Alembic (SQLAlchemy, SQLModel, FastAPI)"),
    ("_prisma_migrations", "Prisma"),
    ("__drizzle_migrations", "Drizzle"),
    ("django_migrations", "Django"),
    ("schema_migrations", "Rails or golang-migrate"),
    ("_sqlx_migrations", "sqlx"),
    ("__diesel_schema_migrations", "Diesel"),
    ("knex_migrations", "Knex"),
    ("sequelizemeta", "Sequelize"),
    ("typeorm_metadata", "TypeORM"),
    ("mikro_orm_migrations", "MikroORM"),
    ("flyway_schema_history", "Flyway"),
    ("databasechangelog", "Liquibase"),
    ("goose_db_version", "goose"),
    ("__efmigrationshistory", "Entity Framework"),
    ("verification", "Better Auth"),
];

/// Why a database with these tables and none of our migrations cannot be used; `None` if it can. `migrated`: SeaORM's
/// migrator has run in it for another program.
pub(super) fn tables(tables: &[String], migrated: bool, backend: DbBackend) -> Option<String> {
    let taken: Vec<&str> = OWN.into_iter().filter(|own| tables.iter().any(|table| table == own)).collect();
    if taken.is_empty() && !migrated {
        return None;
    }
    let is_there = |name: &str| tables.iter().any(|table| table.eq_ignore_ascii_case(name));
    let marker = MARKERS.iter().find(|(name, _)| is_there(name)).map(|(_, owner)| *owner);
    let owner = match marker {
        Some(owner) => format!("another program, which uses {owner}"),
        None if migrated => "another program, which uses SeaORM".to_owned(),
        None => "another program".to_owned(),
    };
    let found = if taken.is_empty() { "seaql_migrations".to_owned() } else { taken.join(", ") };
    let remedy = match backend {
        DbBackend::Postgres => {
            "name another database, or a schema of its own: CREATE SCHEMA todo, and ?options=-csearch_path%3Dtodo"
        }
        _ => "name another file",
    };
    Some(format!("the database seems to belong to {owner}: it has {found} already; {remedy}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_of_another_program_is_described_in_one_line_with_the_remedy() {
        for (tables, migrated, expected) in [
            (
                &["users", "alembic_version"][..],
                false,
                Some("Alembic (SQLAlchemy, SQLModel, FastAPI): it has users already"),
            ),
            (&["tasks", "users", "SequelizeMeta"], false, Some("which uses Sequelize: it has users, tasks already")),
            (&["tasks"], false, Some("another program: it has tasks already")),
            (&["cake", "seaql_migrations"], true, Some("which uses SeaORM: it has seaql_migrations already")),
            (&["alembic_version", "cake"], false, None),
            (&[], false, None),
        ] {
            let names: Vec<String> = tables.iter().map(|&name| name.to_owned()).collect();
            for (backend, remedy) in [(DbBackend::Postgres, "search_path%3Dtodo"), (DbBackend::Sqlite, "another file")]
            {
                let problem = super::tables(&names, migrated, backend);
                assert_eq!(problem.is_some(), expected.is_some(), "{tables:?}");
                let Some((problem, expected)) = problem.zip(expected) else { continue };
                assert!(
                    problem.contains(expected) && problem.ends_with(remedy) && !problem.contains('\n'),
                    "{problem}"
                );
            }
        }
    }
}
