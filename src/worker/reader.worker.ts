/** The thread that reads stored and dropped files, so that reading does not keep the GPU's waiting. */
import { createBlobReader } from "../store/blobFile";
import { expose } from "./rpc";

expose(createBlobReader(), self);
