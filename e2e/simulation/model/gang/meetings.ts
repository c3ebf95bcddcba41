import { interfaces } from "../../host/network.ts";
import type { SimProcess } from "../../host/process.ts";
import { Connection, type End, type IsOpen } from "./connection.ts";
import { Mailbox } from "./mailbox.ts";
import { type Agreed, agreedOn, PeerLostError, type Team, type Word } from "./team.ts";

/** How the workers of gangs find and reach each other. */
export type Ways = Readonly<{
  /** The address that a name leads to in a namespace; undefined where it leads nowhere yet. */
  addressOf: (namespace: string, name: string) => string | undefined;
  isOpen: IsOpen;
}>;

/** Who comes to meet the others of its gang, and where: at worker 0, by its name. */
export type Coming = Readonly<{
  process: SimProcess;
  namespace: string;
  address: string;
  port: number;
  rank: number;
  size: number;
}>;

/** Worker 0's pod may come later, and its name be known later still. */
const lookMs = 500;

/** Where the workers of gangs meet. Worker 0 hears all of them and tells them what they came to. */
export class Meetings {
  readonly #ways: Ways;
  readonly #hosts = new Map<string, Host>();

  constructor(ways: Ways) {
    this.#ways = ways;
  }

  /** Takes part in a gang; null where `stopped` settles before worker 0 was found. */
  async meet(coming: Coming, stopped: Promise<void>): Promise<Team | null> {
    if (coming.rank === 0) return this.#open(coming);
    let isStopped = false;
    void stopped.then(() => {
      isStopped = true;
    });
    for (;;) {
      const host = this.#find(coming);
      if (host !== undefined) return host.admit(coming, this.#ways.isOpen);
      await Promise.race([coming.process.later(lookMs), stopped]);
      if (isStopped) return null;
    }
  }

  #open(coming: Coming): Team {
    const { process, port } = coming;
    const { ip } = interfaces.of(process);
    const host = new Host(coming);
    this.#hosts.set(`${ip}:${port}`, host);
    process.atEnd(() => void this.#hosts.delete(`${ip}:${port}`));
    return host;
  }

  #find({ process, namespace, address, port }: Coming): Host | undefined {
    const ip = this.#ways.addressOf(namespace, address);
    const isReached = ip !== undefined && this.#ways.isOpen(interfaces.of(process).ip, ip);
    return isReached ? this.#hosts.get(`${ip}:${port}`) : undefined;
  }
}

/** Worker 0 of a gang. */
class Host implements Team {
  readonly #coming: Coming;
  /** What the others bring, by their numbers less one. */
  readonly #words: readonly Mailbox<Word>[];
  readonly #tell: ((agreed: Agreed) => void)[] = [];

  constructor(coming: Coming) {
    this.#coming = coming;
    this.#words = Array.from({ length: coming.size - 1 }, () => new Mailbox<Word>());
  }

  async agree(word: Word): Promise<Agreed> {
    const agreed = agreedOn([word, ...(await Promise.all(this.#words.map((words) => words.next())))]);
    for (const tell of this.#tell) tell(agreed);
    return agreed;
  }

  /** Joins another worker to this one. */
  admit({ process, rank }: Coming, isOpen: IsOpen): Team {
    const words = this.#words[rank - 1];
    if (words === undefined) throw new RangeError(`Cannot admit worker ${rank} to ${this.#words.length + 1} workers`);
    const told = new Mailbox<Agreed>();
    const hung = (worker: number) => new PeerLostError(`Cannot finish the step because worker ${worker} is gone`);
    const ends: readonly [End, End] = [
      endOf(this.#coming.process, () => words.fail(hung(rank))),
      endOf(process, () => told.fail(hung(0))),
    ];
    const connection = new Connection(ends, isOpen);
    this.#tell.push((agreed) => connection.tell(1, () => told.put(agreed)));
    return {
      agree: (word) => {
        connection.tell(0, () => words.put(word));
        return told.next();
      },
    };
  }
}

function endOf(process: SimProcess, lost: () => void): End {
  return { process, ip: interfaces.of(process).ip, lost };
}
