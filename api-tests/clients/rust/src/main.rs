//! Uses all operations through the generated client.

use std::error::Error;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, ETAG, HeaderMap};
use todo_api::types::{Problem, ProblemCode, TaskStatus};
use todo_api::{ByteStream, Client, ResponseValue};

mod todo_api {
    progenitor::generate_api!(spec = "../../../target/clients/openapi-3.0.json", interface = Builder);
}

type Answer<T> = Result<ResponseValue<T>, todo_api::Error<ByteStream>>;

fn client(token: &str) -> Result<Client, Box<dyn Error>> {
    let headers = HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse()?)]);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    Ok(Client::new_with_client(&std::env::var("TODO_API_URL")?, http))
}

/// What went wrong. To progenitor a body that is not `application/json` is bytes; they must be a problem, as declared.
async fn problem<T>(answer: Answer<T>) -> Result<Problem, Box<dyn Error>> {
    let Err(todo_api::Error::ErrorResponse(response)) = answer else { return Err("this is no declared error".into()) };
    let body: Vec<_> = response.into_inner_stream().try_collect().await?;
    Ok(serde_json::from_slice(&body.concat())?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let bob = client(&std::env::var("TODO_API_TOKEN")?)?;
    assert!(bob.list_tasks().send().await?.is_empty());

    let milk = bob.create_task().body_map(|task| task.title("  Buy milk ")).send().await?.into_inner();
    assert_eq!(milk.title.as_str(), "Buy milk");
    assert_eq!((&milk.description, milk.completed, milk.due_date), (&None, false, None));
    assert_eq!(milk.user_id, "bob");

    let due: DateTime<Utc> = "2026-12-01T08:30:15.123456Z".parse()?;
    let bread = bob
        .create_task()
        .idempotency_key("bread")
        .body_map(|task| task.title("Bake bread").description("Rye".parse().ok()).completed(true).due_date(due))
        .send()
        .await?
        .into_inner();
    assert_eq!(bread.description.as_ref().map(|text| text.as_str()), Some("Rye"));
    assert_eq!((bread.completed, bread.due_date), (true, Some(due)));

    let ids = |tasks: &[todo_api::types::TaskResponse]| tasks.iter().map(|task| task.id).collect::<Vec<_>>();
    assert_eq!(ids(&bob.list_tasks().send().await?), [bread.id, milk.id]);
    assert_eq!(ids(&bob.list_tasks().status(TaskStatus::Completed).limit(1).send().await?), [bread.id]);

    let read = bob.get_task().id(milk.id).send().await?;
    assert_eq!(read.title, milk.title);
    let etag = read.headers().get(ETAG).ok_or("no ETag")?.to_str()?;
    let unchanged = bob.get_task().id(milk.id).if_none_match(etag).send().await;
    assert_eq!(unchanged.err().and_then(|failure| failure.status()), Some(StatusCode::NOT_MODIFIED));

    let updated = bob.update_task().id(bread.id).body_map(|change| change.completed(false)).send().await?;
    assert_eq!((updated.completed, updated.due_date), (false, Some(due)));
    assert_eq!((&updated.title, &updated.description), (&bread.title, &bread.description));

    let completed = bob.complete_task().id(milk.id).body_map(|state| state.completed(true)).send().await?;
    assert!(completed.completed);

    assert_eq!(bob.delete_task().id(milk.id).send().await?.status(), StatusCode::NO_CONTENT);

    let gone = problem(bob.get_task().id(milk.id).send().await).await?;
    assert_eq!((gone.status, gone.code), (404, ProblemCode::TaskNotFound));

    let unread = problem(bob.list_tasks().cursor("garbled").send().await).await?;
    assert_eq!(unread.code, ProblemCode::ValidationFailed);
    assert_eq!(unread.errors.iter().map(|error| error.parameter.as_deref()).collect::<Vec<_>>(), [Some("cursor")]);

    let stranger = problem(client("none")?.list_tasks().send().await).await?;
    assert_eq!((stranger.status, stranger.code), (401, ProblemCode::TokenInvalid));
    Ok(())
}
