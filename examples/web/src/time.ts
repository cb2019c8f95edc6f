const readable = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** The time as text, in the user's time zone. */
export const formatTime = (time: string) => readable.format(new Date(time));

/** When the day began in the user's time zone, or begins so many days later: not always a multiple of 24 hours. */
export const startOfDay = (now: Date, later = 0) =>
  new Date(now.getFullYear(), now.getMonth(), now.getDate() + later).toISOString();

/** The value of `<input type="datetime-local">`: local time without a zone. */
export function toInput(time: string | Date): string {
  const date = new Date(time);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

/** The value for the API: the same time with the offset of the user's time zone at that time (RFC 3339). */
export function fromInput(local: string): string {
  const date = new Date(local);
  const minutes = -date.getTimezoneOffset();
  const part = (value: number) => String(Math.trunc(Math.abs(value))).padStart(2, "0");
  // Not `local`: when the clocks go forward, it may be a time that they skip.
  return `${toInput(date)}:00${minutes < 0 ? "-" : "+"}${part(minutes / 60)}:${part(minutes % 60)}`;
}
