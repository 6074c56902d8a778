/** Orders that the results of Kafka's Java assignors depend on: of texts, and of what lies in a java.util.HashMap. */

/** By UTF-16 units, as Java compares texts. */
export function byText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** Java's String.hashCode. */
export function textHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/**
 * The order in which a java.util.HashMap gives these items when they are put into it one after the other: by bucket, and
 * within a bucket as they came. A bucket with eight keys or more, which Java turns into a tree, is not imitated.
 */
export function hashOrder<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const capacity = capacityFor(items.length)
  const bucket = (item: T) => bucketOf(textHash(keyOf(item)), capacity)
  return [...items].sort((a, b) => bucket(a) - bucket(b))
}

/** The smallest table that a HashMap has with so many entries. */
export function capacityFor(count: number): number {
  let capacity = 16
  while (count > capacity * 0.75) capacity *= 2
  return capacity
}

export function bucketOf(hash: number, capacity: number): number {
  return (hash ^ (hash >>> 16)) & (capacity - 1)
}
