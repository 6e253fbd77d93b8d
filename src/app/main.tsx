import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { connectEngine } from "../worker/client";
import { App } from "./App";
import { createStudioStore, StudioProvider } from "./state";
import "./styles/styles.css";
import "./styles/app.css";

const store = createStudioStore(connectEngine());
void store.getState().start();

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <StudioProvider store={store}><App /></StudioProvider>
  </StrictMode>,
);
