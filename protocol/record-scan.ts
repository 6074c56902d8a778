/**
 * A first look at the records of a section, for whoever only has to know that they are in order: one pass over plain
 * records in local variables, three times as fast as the cursor. Anything rare (headers, long numbers, damage) ends the
 * pass without a verdict: the cursor then walks the section and says what is there.
 */

export interface RecordScan {
  /** Smallest and largest timestamp delta, and the first record that has the largest. */
  minDelta: number
  maxDelta: number
  indexOfMax: number
  hasNullKey: boolean
}

/**
 * Whether `b[start, end)` holds exactly `count` records without headers whose offset deltas are 0, 1, 2, …; then `scan`
 * describes them. False means only that this function cannot tell.
 */
export function scanRecords(
  b: Buffer,
  start: number,
  end: number,
  count: number,
  scan: RecordScan,
): boolean {
  let p = start
  let minDelta = 0x7fffffff
  let maxDelta = -1
  let indexOfMax = 0
  let hasNullKey = false
  for (let index = 0; index < count; index++) {
    if (end - p < 7) return false
    // Every number is a zig-zag varint: even is not negative, 1 is -1.
    let raw = b[p++]!
    if (raw >= 0x80) {
      const next = b[p++]!
      if (next >= 0x80) return false
      raw = (raw & 0x7f) | (next << 7)
    }
    if ((raw & 1) === 1) return false
    const recordEnd = p + (raw >>> 1)
    if (recordEnd > end) return false
    p++ // attributes: unused
    let delta = b[p++]!
    if (delta >= 0x80) {
      const next = b[p++]!
      delta = (delta & 0x7f) | ((next & 0x7f) << 7)
      if (next >= 0x80) {
        const last = b[p++]!
        if (last >= 0x80) return false
        delta |= last << 14
      }
    }
    if ((delta & 1) === 1) return false
    delta >>>= 1
    raw = b[p++]!
    if (raw >= 0x80) {
      const next = b[p++]!
      if (next >= 0x80) return false
      raw = (raw & 0x7f) | (next << 7)
    }
    if (raw !== index << 1) return false
    raw = b[p++]!
    if (raw === 1) hasNullKey = true
    else if (raw >= 0x80 || (raw & 1) === 1) return false
    else p += raw >>> 1
    raw = b[p++]!
    if (raw >= 0x80) {
      const next = b[p++]!
      if (next >= 0x80) return false
      raw = (raw & 0x7f) | (next << 7)
    }
    if ((raw & 1) === 0) p += raw >>> 1
    else if (raw !== 1) return false
    // No headers, and nothing behind them.
    if (p + 1 !== recordEnd || b[p] !== 0) return false
    p = recordEnd
    if (delta > maxDelta) {
      maxDelta = delta
      indexOfMax = index
    }
    if (delta < minDelta) minDelta = delta
  }
  if (p !== end) return false
  scan.minDelta = minDelta
  scan.maxDelta = maxDelta
  scan.indexOfMax = indexOfMax
  scan.hasNullKey = hasNullKey
  return true
}
