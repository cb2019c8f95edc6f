import { type FormEvent, useState } from "react";
import { auth, failure } from "./auth";
import { Field } from "./Field";

/** Signs in or up. The new session replaces this form. */
export function SignIn({ notice }: { notice: string }) {
  const [isNew, setIsNew] = useState(false);
  const [pending, setPending] = useState(false);
  const [error, setError] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (pending) return;
    const {
      name = "",
      email = "",
      password = "",
    } = Object.fromEntries(new FormData(event.currentTarget)) as Record<string, string>;
    setPending(true);
    setError("");
    const call = isNew ? auth.signUp.email({ name, email, password }) : auth.signIn.email({ email, password });
    setError(await failure(call));
    setPending(false);
  }

  return (
    <form className="panel" onSubmit={submit} key={String(isNew)}>
      <h1>{isNew ? "Create your account" : "Sign in"}</h1>
      {notice && !error && <p role="status">{notice}</p>}
      {error && (
        <p role="alert" className="alert">
          {error}
        </p>
      )}
      {isNew && <Field label="Name" name="name" autoComplete="name" required autoFocus />}
      <Field label="Email" name="email" type="email" autoComplete="email" required autoFocus={!isNew} />
      <Field
        label="Password"
        name="password"
        type="password"
        autoComplete={isNew ? "new-password" : "current-password"}
        minLength={8}
        maxLength={128}
        hint={isNew ? "At least 8 characters." : undefined}
        required
      />
      <button type="submit" className="primary" aria-disabled={pending}>
        {isNew ? "Create account" : "Sign in"}
      </button>
      <p className="switch">
        {isNew ? "You have an account?" : "New here?"}{" "}
        <button
          type="button"
          className="link"
          onClick={() => {
            setIsNew(!isNew);
            setError("");
          }}
        >
          {isNew ? "Sign in" : "Create an account"}
        </button>
      </p>
    </form>
  );
}
