// Buttons that copy the text beside them.
