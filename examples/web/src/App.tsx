import { MutationCache, notifyManager, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { ApiProvider, createApi, isSignedOut } from "./api";
import { auth } from "./auth";
import { Logo } from "./icons";
import { SignIn } from "./SignIn";
import { Tasks } from "./Tasks";

// Not in a later task, as by default: a checkbox would jump back in between.
notifyManager.setScheduler(queueMicrotask);

export function App() {
  const session = auth.useSession();
  const [notice, setNotice] = useState("");

  if (session.data)
    return (
      <SignedIn
        key={session.data.user.id}
        name={session.data.user.name}
        onEnd={(reason) => {
          setNotice(reason);
          void auth.signOut();
        }}
      />
    );
  if (session.isPending)
    return (
      <Entry>
        <p role="status">Loading…</p>
      </Entry>
    );
  if (session.error)
    return (
      <Entry>
        <p role="alert">The server cannot be reached.</p>
        <button type="button" className="primary" onClick={() => void session.refetch()}>
          Try again
        </button>
      </Entry>
    );
  return (
    <Entry>
      <SignIn notice={notice} />
    </Entry>
  );
}

const Entry = ({ children }: { children: ReactNode }) => (
  <main className="entry">
    <Logo />
    {children}
  </main>
);

/** Keyed by the user, so that another user gets a new token and an empty cache. */
function SignedIn({ name, onEnd }: { name: string; onEnd: (reason: string) => void }) {
  const [{ api, queries }] = useState(() => {
    const onError = (error: Error) => {
      if (isSignedOut(error)) onEnd("Your session has ended. Sign in again to continue.");
    };
    const queries = new QueryClient({
      queryCache: new QueryCache({ onError }),
      mutationCache: new MutationCache({ onError }),
      // `api` retries by itself. Being offline is an error to show, not a reason to wait.
      defaultOptions: { queries: { retry: false, networkMode: "always" }, mutations: { networkMode: "always" } },
    });
    return { api: createApi(), queries };
  });

  return (
    <QueryClientProvider client={queries}>
      <ApiProvider value={api}>
        <header className="bar">
          <Logo />
          <span className="user">{name}</span>
          <button type="button" onClick={() => onEnd("")}>
            Sign out
          </button>
        </header>
        <Tasks />
      </ApiProvider>
    </QueryClientProvider>
  );
}
