/** One line for the person who watches; the program's own account of itself goes to records, not here. */
export function say(text: string): void {
  process.stdout.write(`trainingrun: ${text}\n`);
}
