/** What a user does with all operations, through any client. */

import { expect } from "vitest";

export interface Task {
  id: string;
  title: string;
  description: string | null;
  completed: boolean;
  due_date: string | null;
}

export interface NewTask {
  title: string;
  description?: string | null;
  due_date?: string | null;
}

/** A generated client behind one interface. Each method calls the operation once. */
export interface Client {
  list(limit?: number): Promise<Task[]>;
  create(task: NewTask): Promise<Task>;
  get(id: string): Promise<Task>;
  update(id: string, change: { description?: string | null; due_date?: string | null }): Promise<Task>;
  /** Without a state, as the client sends a body that is left out. */
  complete(id: string, state?: { completed: boolean }): Promise<Task>;
  delete(id: string): Promise<unknown>;
}

/** The one result that a client returns beside its error. */
export function data<T>(result: { data?: T; error?: unknown }): T {
  if (result.data === undefined) throw new Error(`the client has no data: ${JSON.stringify(result.error)}`);
  return result.data;
}

export async function session(client: Client): Promise<void> {
  expect(await client.list()).toEqual([]);

  const milk = await client.create({ title: "  Buy milk ", due_date: "2026-12-01T09:30:00+01:00" });
  expect(milk).toMatchObject({ title: "Buy milk", description: null, completed: false });
  expect(Date.parse(milk.due_date!)).toBe(Date.parse("2026-12-01T08:30:00Z"));
  const bread = await client.create({ title: "Bake bread", description: "Rye" });

  expect((await client.list()).map(({ id }) => id)).toEqual([bread.id, milk.id]);
  expect((await client.list(1)).map(({ id }) => id)).toEqual([bread.id]);
  expect(await client.get(milk.id)).toEqual(milk);

  const changed = await client.update(milk.id, { description: "Two litres" });
  expect(changed).toMatchObject({ title: "Buy milk", description: "Two litres", due_date: milk.due_date });
  expect(await client.update(milk.id, { due_date: null })).toMatchObject({ description: "Two litres", due_date: null });

  expect(await client.complete(milk.id, { completed: true })).toMatchObject({ id: milk.id, completed: true });
  expect(await client.complete(milk.id, { completed: true })).toMatchObject({ completed: true });
  expect(await client.complete(milk.id)).toMatchObject({ completed: false });

  await client.delete(milk.id);
  expect((await client.list()).map(({ id }) => id)).toEqual([bread.id]);
  // Some clients throw, and others return the problem.
  const gone = await client.get(milk.id).catch(() => undefined);
  expect(gone?.id).toBeUndefined();
}
