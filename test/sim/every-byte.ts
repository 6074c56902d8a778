/**
 * Power cuts in a recorded run: its changes are played into a second medium, byte by byte; at the chosen points the medium
 * is left as a crash would leave it there, opened, and compared with what the model said at that moment.
 */
import assert from 'node:assert/strict'
import { ManualTurn, NOW } from '../segment-store/store-harness.ts'
import { seededRandom } from '../tiers.ts'
import { SimulatedDisk } from './disk.ts'
import { CRASH_MODES, type CrashMode, Medium, type Mutation } from './medium.ts'
import { type Mark, openDirectory, openKnown, type Recording } from './recording.ts'

/** Bytes of a write, and one for any other change. */
export function unitsOf(mutation: Mutation): number {
  return mutation.kind === 'write' ? mutation.bytes.length : 1
}

/** Of all points each `stride`-th, from `first` on. Answers how many that were. */
export async function cutPower(
  { journal, marks }: Recording,
  points: { readonly first: number; readonly stride: number; readonly seed: number },
): Promise<number> {
  const medium = new Medium()
  let mark = 0
  let point = 0
  let cuts = 0
  for (const [index, mutation] of journal.entries()) {
    while (marks[mark + 1] !== undefined && marks[mark + 1]!.changes <= index) mark++
    for (let byte = 0; byte < unitsOf(mutation); byte++, point++) {
      if (point % points.stride === points.first && marks[0]!.changes <= index) {
        const random = seededRandom(points.seed + point)
        const mode = CRASH_MODES[Math.floor(random() * CRASH_MODES.length)]!
        cuts++
        await reopen(medium, mode, marks[mark]!, random).catch((error: unknown) => {
          const where = `byte ${byte} of change ${index} (${mutation.kind}), unsynced: ${mode}`
          throw new Error(`${where}, seed ${points.seed}`, { cause: error })
        })
      }
      if (mutation.kind === 'write') medium.apply(oneByte(mutation, byte))
      else medium.apply(mutation)
    }
  }
  return cuts
}

function oneByte(mutation: Mutation & { kind: 'write' }, byte: number): Mutation {
  const { position, bytes } = mutation
  return { ...mutation, position: position + byte, bytes: bytes.subarray(byte, byte + 1) }
}

/** Starts as a broker does: what the metadata knows is opened, what was deleted goes. */
async function reopen(
  medium: Medium,
  mode: CrashMode,
  mark: Mark,
  random: () => number,
): Promise<void> {
  const left = medium.afterCrash(mode, random)
  const disk = new SimulatedDisk(left, { random: () => 0, nowMs: () => NOW })
  const directory = await openDirectory(disk, new ManualTurn())
  await directory.removeDeleted(id => mark.logs.some(({ topicId }) => topicId === id))
  for (const known of mark.logs) {
    const log = await openKnown(directory, known)
    const model = known.model.clone()
    try {
      model.settle(log)
      await model.check(log)
    } catch (error) {
      throw new Error(`${known.topic}: ${(error as Error).message}`, { cause: error })
    }
  }
  const names = (await disk.list('/data')).map(({ name }) => name)
  assert(!names.some(name => name.endsWith('-delete')), `a deleted log is left: ${names}`)
  await directory.abandon()
}
