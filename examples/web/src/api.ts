import { createContext, useContext } from "react";
import { createTodoClient, TodoApiError, TodoTokenError } from "todo-api-client";
import { auth } from "./auth";

class SessionEnded extends Error {}

/** The API for one user. The client caches the token in memory, and never sends one of another user. */
export const createApi = (userId: string) =>
  createTodoClient({
    baseUrl: document.querySelector<HTMLMetaElement>('meta[name="api-url"]')!.content,
    userId,
    token: async () => {
      const { data, error } = await auth.token();
      if (data) return data.token;
      throw error.status === 401 ? new SessionEnded() : new Error("no token", { cause: error });
    },
  });

const ApiContext = createContext<ReturnType<typeof createApi> | undefined>(undefined);
export const ApiProvider = ApiContext.Provider;
export const useApi = () => useContext(ApiContext)!;

/** The status of an error's answer; undefined if there was no answer. */
export const statusOf = (error: Error | null) => (error instanceof TodoApiError ? error.response.status : undefined);
export const isSignedOut = (error: Error) => error instanceof SessionEnded || statusOf(error) === 401;

/** Whether another user has signed in with the cookies of this page, for example in another tab. */
export const isOtherUser = (error: Error) => error instanceof TodoTokenError;

/** What is wrong with the body, by JSON pointer. */
export function violations(error: Error | null): Record<string, string> {
  const errors = (error instanceof TodoApiError && error.problem?.errors) || [];
  return Object.fromEntries(
    errors.flatMap(({ pointer, detail }) => (pointer === undefined ? [] : [[pointer, detail]])),
  );
}

/** The text of an error for the user. */
export function explain(error: Error): string {
  switch (statusOf(error)) {
    case undefined:
      return "The server cannot be reached. Check your connection and try again.";
    case 404:
      return "This task no longer exists.";
    case 412:
      return "This task was changed elsewhere. This is its newest version, with your changes: save again to keep them.";
    case 429:
    case 503:
      return "The server is busy. Try again in a moment.";
    default:
      return `Something went wrong: ${error.message}`;
  }
}
