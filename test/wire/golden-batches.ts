/**
 * The batches in the data directory that Kafka wrote, each with what Kafka's dump tool says of it and of its records.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { goldenText } from './golden.ts'

/** The fields of one line of the dump, as written there. */
export type DumpLine = Readonly<Record<string, string>>

export interface GoldenBatch {
  /** For messages: file and position. */
  readonly label: string
  /** The whole segment file, and where in it the batch starts. */
  readonly segment: Buffer
  readonly position: number
  readonly batch: DumpLine
  /** Empty where the dump lists batches only. */
  readonly records: readonly DumpLine[]
}

/** Every batch of every segment that the dumps describe. */
export function goldenBatches(): GoldenBatch[] {
  const batches: GoldenBatch[] = []
  for (const dump of ['data-dir.dump.txt', 'data-dir.rolled.dump.txt']) {
    let file = ''
    let segment: Buffer = Buffer.alloc(0)
    let records: DumpLine[] = []
    for (const line of goldenText(dump).split('\n')) {
      const named = /^Dumping (.*)$/.exec(line)?.[1]
      if (named !== undefined) {
        file = named
        segment = readFileSync(resolve(process.cwd(), '../shared/kafka-protocol/data-dir', file))
      } else if (line.startsWith('baseOffset:') && file.endsWith('.log')) {
        records = []
        const batch = fields(line)
        const position = Number(batch['position'])
        batches.push({ label: `${file} at ${position}`, segment, position, batch, records })
      } else if (line.startsWith('| offset:')) records.push(fields(line.slice(2)))
    }
  }
  return batches
}

/** "name: value name: value …"; a payload may hold spaces, so a value ends only where the next name begins. */
function fields(line: string): DumpLine {
  const found: Record<string, string> = {}
  for (const match of line.matchAll(/(\w+): (.*?)(?= \w+: |$)/g)) found[match[1]!] = match[2]!
  return found
}
