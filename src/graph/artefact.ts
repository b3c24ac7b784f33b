/** Version of what we write beside the standard graph model: `userDefinedMetadata.lowbit` and the region ops. */
export const ARTEFACT_FORMAT_VERSION = 1;
