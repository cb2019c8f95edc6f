import { MutationCache, notifyManager, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { ApiProvider, createApi, isOtherUser, isSignedOut } from "./api";
import { auth, failure } from "./auth";
import { Logo } from "./icons";
import { SignIn } from "./SignIn";
import { Tasks } from "./Tasks";

// Not in a later task, as by default: a checkbox would jump back in between.
notifyManager.setScheduler(queueMicrotask);

export function App() {
  const session = auth.useSession();
  // Whether the server has ever said who is signed in. The page asks again after an interruption, and the form must stay.
  const [known, setKnown] = useState(false);
  if (!known && !session.isPending && !session.error) setKnown(true);
  const [notice, setNotice] = useState("");
  const [problem, setProblem] = useState("");
  const leaving = useRef(false);
  const userId = session.data?.user.id;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the user has left when the session is another one.
  useEffect(() => {
    leaving.current = false;
  }, [userId]);

  async function signOut(reason: string) {
    // Requests that fail because the session is ending do not end it again.
    if (reason && leaving.current) return;
    leaving.current = true;
    setNotice(reason);
    setProblem("");
    const problem = await failure(auth.signOut());
    setProblem(problem);
    if (problem) leaving.current = false;
    // The next user does not see what this one searched for. If the session has expired, the user may go on.
    else if (!reason) history.replaceState(null, "", location.pathname);
  }

  if (session.data)
    return (
      <SignedIn
        key={session.data.user.id}
        user={session.data.user}
        onOtherUser={() => void session.refetch()}
        onEnd={(reason) => void signOut(reason)}
        problem={problem && `You are not signed out. ${problem}`}
      />
    );
  if (known)
    return (
      <Entry>
        <SignIn notice={notice} />
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
      <p role="status">Loading…</p>
    </Entry>
  );
}

const Entry = ({ children }: { children: ReactNode }) => (
  <main className="entry">
    <Logo />
    {children}
  </main>
);

type SignedInProps = {
  user: { id: string; name: string };
  onOtherUser: () => void;
  onEnd: (reason: string) => void;
  problem: string;
};

/** Keyed by the user: another one gets another client, and nothing of what the last one saw. */
function SignedIn({ user, onOtherUser, onEnd, problem }: SignedInProps) {
  const [{ api, queries }] = useState(() => {
    const onError = (error: Error) => {
      if (isOtherUser(error)) onOtherUser();
      if (isSignedOut(error)) onEnd("Your session has ended. Sign in again to go on.");
    };
    const queries = new QueryClient({
      queryCache: new QueryCache({ onError }),
      mutationCache: new MutationCache({ onError }),
      // `api` retries by itself. Being offline is an error to show, not a reason to wait.
      defaultOptions: { queries: { retry: false, networkMode: "always" }, mutations: { networkMode: "always" } },
    });
    return { api: createApi(user.id), queries };
  });

  return (
    <QueryClientProvider client={queries}>
      <ApiProvider value={api}>
        <header className="bar">
          <Logo />
          <span className="user">{user.name}</span>
          <button
            type="button"
            onClick={() => {
              api.forgetToken();
              onEnd("");
            }}
          >
            Sign out
          </button>
        </header>
        {problem && (
          <p role="alert" className="alert">
            {problem}
          </p>
        )}
        <Tasks />
      </ApiProvider>
    </QueryClientProvider>
  );
}
