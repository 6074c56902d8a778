/** Kafka's verifiable consumer as a process: what it says, and its end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { ConsumerEvent, ConsumerStory } from './consumer-stories.ts'
import { adopt, KAFKA } from './harness.ts'

export interface VerifiableOptions {
  readonly bootstrap: string
  readonly topic: string
  readonly group: string
  readonly protocol: 'classic' | 'consumer'
  /** Of the classic protocol; with the consumer protocol it is the broker's. */
  readonly sessionTimeoutMs?: number
  /** More of the tool's own arguments. */
  readonly more?: readonly string[]
}

export class VerifiableConsumer implements ConsumerStory {
  readonly name: string
  readonly events: ConsumerEvent[] = []
  killedMs: number | null = null
  private readonly child: ChildProcess
  private readonly over: Promise<unknown>

  constructor(options: VerifiableOptions) {
    const { bootstrap, topic, group, protocol, sessionTimeoutMs = 10_000, more = [] } = options
    const where = ['--bootstrap-server', bootstrap, '--topic', topic, '--group-id', group]
    const session = protocol === 'classic' ? ['--session-timeout', String(sessionTimeoutMs)] : []
    const how = ['--group-protocol', protocol, ...session, '--reset-policy', 'earliest', ...more]
    const env = { ...process.env, HEAP: '128m', JAVA_OPTS: '-XX:TieredStopAtLevel=1' }
    const args = ['verifiable-consumer', ...where, ...how]
    const child = spawn(KAFKA, args, { stdio: ['ignore', 'pipe', 'ignore'], env })
    this.child = adopt(child)
    this.name = `consumer ${child.pid}`
    const lines = createInterface({ input: child.stdout })
    lines.on('line', line => {
      // The last line of a killed one may be half a line.
      if (line.startsWith('{') && line.endsWith('}')) this.events.push(JSON.parse(line))
    })
    this.over = Promise.all([once(child, 'exit'), once(lines, 'close')])
  }

  has(name: string): boolean {
    return this.events.some(event => event.name === name)
  }

  /** How many partitions it has. */
  get held(): number {
    const held = new Set<number>()
    for (const { name, partitions = [] } of this.events) {
      for (const { partition } of partitions) {
        if (name === 'partitions_assigned') held.add(partition)
        if (name === 'partitions_revoked') held.delete(partition)
      }
    }
    return held.size
  }

  /** Ends it and waits until all that it said is here. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (signal === 'SIGKILL') this.killedMs ??= Date.now()
    this.child.kill(signal)
    await this.over
  }
}
