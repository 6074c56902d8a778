/** Counts the frames (four bytes of length, then so many) that end in what a connection has read; keeps none of their bytes. */
export class FrameCount {
  /** Of the frame under way: bytes to come, and of its length what was read. */
  private bodyLeft = 0
  private length = 0
  private lengthBytes = 0

  /** How many end in the first `count` bytes of the buffer, which go on where those before ended. */
  ended(buffer: Buffer, count: number): number {
    let frames = 0
    for (let at = 0; at < count; ) {
      if (this.bodyLeft > 0) {
        const took = Math.min(this.bodyLeft, count - at)
        at += took
        this.bodyLeft -= took
        if (this.bodyLeft === 0) frames++
        continue
      }
      this.length = (this.length << 8) | buffer[at++]!
      if (++this.lengthBytes < 4) continue
      this.bodyLeft = this.length
      this.length = 0
      this.lengthBytes = 0
    }
    return frames
  }
}
