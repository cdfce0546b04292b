/** The worker's disk is full: no fault of the video, so it is tried again later. */
export class NoRoom extends Error {}
