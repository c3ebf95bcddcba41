/** What a reflector does at a time. */
export type Task = "List" | "Watch" | "Check";

/** How each task can come out. */
export type Outcomes = Readonly<{
  List: "Whole" | "Broken" | "Older";
  Watch: "Ended" | "Silent" | "Short" | "Overdue" | "Broken" | "Unopened" | "Lost" | "Older";
  Check: "Newer" | "Broken" | "Older";
}>;

/** What comes next: `Resume` is a watch where one may still be opened without a list, and a list elsewhere. */
export type Next = Readonly<{ task: Task | "Resume"; wait: "No" | "BackOff" }>;

/** What follows an outcome. Total: an outcome without an answer does not compile. */
export function nextAfter<T extends Task>(task: T, outcome: Outcomes[T]): Next {
  return table[task][outcome];
}

/** Where every reflector begins, and where one goes that is asked for a fresh list. */
export const listNow: Next = { task: "List", wait: "No" };

const table: { readonly [T in Task]: Readonly<Record<Outcomes[T], Next>> } = {
  List: {
    Whole: { task: "Watch", wait: "No" },
    Broken: { task: "List", wait: "BackOff" },
    Older: { task: "List", wait: "BackOff" },
  },
  Watch: {
    // As agreed, after a closing word, which is proof that the server is past our version.
    Ended: { task: "Watch", wait: "No" },
    // As agreed, but with nothing said for a while. A server that was set back ends in the same way watches of versions
    // it has yet to reach, and says nothing of what it does until then.
    Silent: { task: "Check", wait: "No" },
    // Long before it was agreed: asked again at once, such a server would be asked for ever.
    Short: { task: "Resume", wait: "BackOff" },
    // Nothing passes over this connection; the next one may do, or a buffer on the way holds back every watch.
    Overdue: { task: "Resume", wait: "No" },
    Broken: { task: "Resume", wait: "BackOff" },
    // A server that was away may have come back with another history.
    Unopened: { task: "List", wait: "BackOff" },
    // The version is out of the server's history, or a line was lost.
    Lost: { task: "List", wait: "BackOff" },
    Older: { task: "List", wait: "BackOff" },
  },
  Check: {
    Newer: { task: "Watch", wait: "No" },
    Broken: { task: "List", wait: "BackOff" },
    Older: { task: "List", wait: "BackOff" },
  },
};
