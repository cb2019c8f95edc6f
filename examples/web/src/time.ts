const readable = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** In words, in the user's zone. */
export const formatTime = (time: string) => readable.format(new Date(time));

/** What `<input type="datetime-local">` takes: the user's clock, without a zone. */
export function toInput(time: string): string {
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** What the API takes: the same moment with the offset that the user's zone has then (RFC 3339). */
export function fromInput(local: string): string {
  const minutes = -new Date(local).getTimezoneOffset();
  const part = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, "0");
  return `${local}:00${minutes < 0 ? "-" : "+"}${part(minutes / 60)}:${part(minutes % 60)}`;
}
