/**
 * What to say about a setting that nobody knows: what was probably meant, or what became of it.
 */
import { topicSettings } from '../../segment-store/config.ts'

/** Settings of older Kafka versions, which 4.x does not know either, and what to do about them. */
const REMOVED: readonly (readonly [RegExp, string])[] = [
  [/^zookeeper\./, 'there is no ZooKeeper: remove it'],
  [/^(port|host\.name)$/, 'use listeners'],
  [/^advertised\.(port|host\.name)$/, 'use advertised.listeners'],
  [
    /^log\.message\.timestamp\.difference\.max\.ms$/,
    'use log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms',
  ],
  [
    /^(inter\.broker\.protocol\.version|log\.message\.format\.version|log\.message\.downconversion\.enable)$/,
    'there is one record format and one protocol: remove it',
  ],
  [
    /^(broker\.id\.generation\.enable|reserved\.broker\.max\.id|control\.plane\.listener\.name|password\.encoder\..*|offsets\.commit\.required\.acks|leader\.imbalance\.per\.broker\.percentage|delegation\.token\.master\.key)$/,
    'Kafka 4 has it no more: remove it',
  ],
]

/** One sentence about the unknown setting `name`; `known` are all names that would do. */
export function explainUnknown(name: string, known: Iterable<string>): string {
  const removed = REMOVED.find(([pattern]) => pattern.test(name))
  if (removed !== undefined) return `${name}: a setting of older Kafka versions; ${removed[1]}`
  if (Object.hasOwn(topicSettings, name)) {
    const { serverDefault } = topicSettings[name as keyof typeof topicSettings]
    const instead = serverDefault === null ? '' : `; the default for all topics is ${serverDefault}`
    return `${name}: a setting of topics, not of the broker${instead}`
  }
  const closest = closestName(name, known)
  return closest === null
    ? `${name}: unknown setting`
    : `${name}: unknown setting; did you mean ${closest}?`
}

function closestName(name: string, known: Iterable<string>): string | null {
  const wanted = name.toLowerCase().replace(/[_-]/g, '.')
  let best: string | null = null
  let bestDistance = Math.max(2, Math.floor(wanted.length / 5)) + 1
  for (const candidate of known) {
    if (Math.abs(candidate.length - wanted.length) >= bestDistance) continue
    const distance = editDistance(wanted, candidate)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** How many letters must be inserted, removed, replaced or swapped with their neighbour. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, beforeLast[j - 2]! + 1)
      }
      row.push(cost)
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
