/**
 * A number that stands for the topics that a group subscribes to: their ids and sizes. Kept with the group epoch, so that a
 * group sees after a start, too, whether they have changed. Kafka keeps another number in the same place: taking over a
 * group from the other costs one new group epoch.
 */
import type { ClusterImage } from '../metadata/image.ts'

const FNV_PRIME = 0x01000193

/** 53 bits, 0 for no topics. */
export function topicsHash(names: ReadonlySet<string>, { topics }: ClusterImage): number {
  let low = 0x811c9dc5
  let high = 0x811c9dc5 ^ 0x5bd1e995
  let isEmpty = true
  for (const name of [...names].sort()) {
    const topic = topics.get(name)
    if (topic === undefined) continue
    isEmpty = false
    for (const char of `${topic.id}/${topic.partitions.length};`) {
      const code = char.charCodeAt(0)
      low = Math.imul(low ^ code, FNV_PRIME)
      high = Math.imul(high ^ (code + 0x100), FNV_PRIME)
    }
  }
  return isEmpty ? 0 : (high & 0x1fffff) * 0x100000000 + (low >>> 0)
}
